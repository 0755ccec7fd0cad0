"""How likely a value is right, before calibration: what the model, the document and the rules say, weighed.

The weights were fitted once by logistic regression on receipts and are shipped as data. Pure but for reading them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from app.extraction.answers import Certainty
from app.extraction.expect import Opinion
from app.extraction.records import Grounding
from app.extraction.schema import FieldType

_FAINT: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known about one value."""

    kind: FieldType
    certainty: Certainty | None
    grounding: Grounding
    scan_score: float = 1.0
    """The least recognition score among its words."""
    problems: int = 0
    """Validators and rules that it breaks."""
    upheld: int = 0
    """Rules that it takes part in and that hold."""
    places: int = 1
    """How often the same value stands in the document."""
    labelled: bool = False
    """A word of the field's name stands before the value."""
    few_shot: bool = False
    """Corrected examples stood before the document."""
    opinion: Opinion = Opinion.NONE
    """Whether a plain rule, without the model, takes the same value."""
    rivals: int = 0
    """How many different values of the type the document offers; 0 where that cannot be counted."""


def features(signs: Signs) -> dict[str, float]:
    """The numbers that are weighed, by name."""
    certainty = signs.certainty or Certainty(math.log(0.5), math.log(0.5), 0.5)
    probability = min(max(math.exp(certainty.logprob), _FAINT), 1 - 1e-4)
    weakest = min(max(math.exp(certainty.weakest), _FAINT), 1 - 1e-4)
    return {
        "one": 1.0,
        "probability": _logit(probability),
        "weakest": _logit(weakest),
        "legal": math.log(max(certainty.legal, 1e-3)),
        "unproven": float(signs.grounding is Grounding.UNPROVEN),
        "inexact": float(signs.grounding in (Grounding.NORMALISED, Grounding.FUZZY)),
        "absent": float(signs.grounding is Grounding.ABSENT),
        "scan": math.log(max(signs.scan_score, 0.05)),
        "problems": float(min(signs.problems, 2)),
        "upheld": float(min(signs.upheld, 2)),
        "repeated": float(min(signs.places - 1, 3)),
        "labelled": float(signs.labelled),
        "few_shot": float(signs.few_shot),
        "agrees": float(signs.opinion is Opinion.AGREES),
        "differs": float(signs.opinion is Opinion.DIFFERS),
        "rivals": math.log(max(1, signs.rivals)),
        f"type:{_group(signs.kind)}": 1.0,
    }


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _group(kind: FieldType) -> str:
    if kind in (FieldType.AMOUNT, FieldType.NUMBER):
        return "number"
    return kind.value if kind in (FieldType.TEXT, FieldType.ADDRESS, FieldType.DATE) else "other"


def score(signs: Signs, weights: Mapping[str, float] | None = None) -> float:
    """0 to 1."""
    weighing = shipped_weights() if weights is None else weights
    total = sum(weighing.get(name, 0.0) * value for name, value in features(signs).items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


@cache
def shipped_weights() -> Mapping[str, float]:
    """The default."""
    text = resources.files("resources").joinpath("extraction", "calibration.json").read_text("utf-8")
    return {str(name): float(weight) for name, weight in json.loads(text)["weights"].items()}
