"""A JSON object's fields, taken out one by one with their checks. Pure.

Which fields a call has is ``wire.py``'s; here is only how a field is read, and what is said of one that nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from engine.errors import RequestError

MAX_WHOLE: Final = (1 << 31) - 1

HARMLESS: Final = frozenset(
    {
        "model",
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "parallel_tool_calls",
        "timings_per_token",
        "return_progress",
        "verbosity",
    }
)
"""They change nothing about the text."""

NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "reasoning_effort": (),
    "best_of": (1,),
    "suffix": ("",),
    "typical_p": (1,),
    "mirostat": (0,),
    "dry_multiplier": (0,),
    "xtc_probability": (0,),
    "top_n_sigma": (-1,),
}
"""Known, not supported: accepted as null or with these values, which ask for nothing."""


class Fields:
    """The fields of a JSON object, taken out one by one with their checks; what is left over is unknown."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def take(self, name: str) -> Any:
        """The raw value, or ``None``."""
        return self._values.pop(name, None)

    def take_rest(self) -> dict[str, Any]:
        """All that nobody has taken yet."""
        rest, self._values = self._values, {}
        return rest

    def flag(self, name: str, default: bool) -> bool:
        """A boolean."""
        value = self.take(name)
        if value is None:
            return default
        return value if isinstance(value, bool) else refuse(name, "must be true or false")

    def text(self, name: str, default: str) -> str:
        """A string."""
        value = self.take(name)
        if value is None:
            return default
        return value if isinstance(value, str) else refuse(name, "must be a string")

    def whole(self, name: str, default: int | None, least: int, most: int) -> int | None:
        """An integer within limits."""
        value = self.take(name)
        if value is None:
            return default
        if type(value) is float and value.is_integer():
            value = int(value)  # JSON knows no difference
        if type(value) is not int:
            refuse(name, "must be a whole number")
        if not least <= value <= most:
            refuse(name, f"must lie between {least} and {most}")
        return int(value)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A number within limits."""
        value = self.take(name)
        if value is None:
            return default
        if type(value) not in (int, float):
            refuse(name, "must be a number")
        if not least <= value <= most:
            refuse(name, f"must lie between {least:g} and {most:g}")
        return float(value)

    def finish(self) -> None:
        """Refuse what nobody has taken. Raises: ``RequestError`` naming the first such field."""
        for name, value in self._values.items():
            if name in HARMLESS:
                continue
            if name not in NEUTRAL:
                raise RequestError("unknown_parameter", f"There is no parameter {name[:64]!r} here.", param=name[:64])
            if not any(value == neutral and type(value) is type(neutral) for neutral in NEUTRAL[name]):
                raise RequestError(
                    "unsupported_parameter",
                    f"{name!r} is not supported by this worker.",
                    "It would change the answer, so it is refused rather than ignored.",
                    param=name,
                )


def parse_object(body: bytes) -> Fields:
    """A JSON object. Raises: ``RequestError`` for anything else."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise RequestError("invalid_json", "The body is JSON nested too deeply.") from error
    except ValueError as error:
        raise RequestError("invalid_json", f"The body is not JSON: {str(error)[:200]}.") from error
    if not isinstance(value, dict):
        raise RequestError("invalid_json", "The body must be a JSON object.")
    return Fields(value)


def _refuse_constant(name: str) -> NoReturn:
    raise RequestError("invalid_json", f"The body holds {name}, which is not JSON.")


def refuse(param: str, what: str) -> NoReturn:
    """Raises: ``RequestError`` of a field that is not as it must be."""
    raise RequestError("invalid_parameter", f"{param} {what}.", param=param)
