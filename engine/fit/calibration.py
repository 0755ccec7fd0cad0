"""Corrects predicted speeds by what this machine was measured to do. Pure.

A model that was measured in the same kind of place corrects itself; else the machine's other models do, because most
of an error is the machine's: a bandwidth that was guessed, a core that is slower than its kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from engine.fit.experience import Experience, Place, SpeedSample
from engine.fit.plan import Band, Speed

WIDEST = 0.25
"""Of the likely figure, to either side, once something was measured."""
NARROWEST = 0.12
_LATEST = 5
"""Samples of one model that count: drivers and builds change."""
_ENOUGH = 3
"""Samples of one model that say how far they spread."""
_SPREADS = 1.8
"""Eight of ten of a normal distribution lie within so many standard deviations, when those and the middle are known
from five samples alone."""


def calibrate(raw: Speed, model: str, place: Place, experience: Experience) -> Speed:
    """``raw`` is what was predicted without any correction; unchanged if nothing comparable was measured."""
    decode = _ratios(experience.samples, model, place, decode=True)
    prefill = _ratios(experience.samples, model, place, decode=False)
    if not decode and not prefill:
        return raw
    return Speed(
        prefill_tok_s=_corrected(raw.prefill_tok_s, prefill),
        decode_tok_s=_corrected(raw.decode_tok_s, decode),
        calibrated=bool(decode),
        prefill_factor=_factor(prefill),
        decode_factor=_factor(decode),
    )


def _ratios(samples: Sequence[SpeedSample], model: str, place: Place, *, decode: bool) -> list[float]:
    """Of the same model in the same place, else of every other in the same place: the latest of each."""
    found: dict[str, list[float]] = {}
    for sample in samples:
        ratio = sample.decode_ratio if decode else sample.prefill_ratio
        if sample.place == place and ratio is not None and ratio > 0:
            found.setdefault(sample.model, []).append(ratio)
    if model in found:
        return found[model][-_LATEST:]
    return [median(ratios[-_LATEST:]) for ratios in found.values()]


def _factor(ratios: Sequence[float]) -> float:
    return median(ratios) if ratios else 1.0


def _corrected(band: Band, ratios: Sequence[float]) -> Band:
    if not ratios:
        return band
    likely = band.likely * _factor(ratios)
    share = WIDEST
    if len(ratios) >= _ENOUGH:
        logs = [math.log(ratio / _factor(ratios)) for ratio in ratios]
        spread = math.sqrt(sum(log * log for log in logs) / (len(logs) - 1))
        share = min(WIDEST, max(NARROWEST, _SPREADS * spread))
    return Band(likely * (1 - share), likely, likely * (1 + share))
