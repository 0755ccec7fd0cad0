"""Corrects predicted speeds by what this machine was measured to do. Pure.

A model that was measured in the same kind of place corrects itself. Else the machine's other models do, for the part of
an error that is the machine's: a bandwidth that was guessed, a core that is slower than its kind. How much of it that
is, they say by being many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from engine.fit.experience import Experience, Place, SpeedSample
from engine.fit.plan import Band, Speed
from engine.fit.speed import TIMED_BAND

WIDEST = 0.25
"""Of the likely figure, to either side, once the model itself was measured."""
NARROWEST = 0.12
_LATEST = 5
"""Samples of one model that count: drivers and builds change."""
_DOUBT = 1.0
"""As many models as a prediction from timed kernels is worth: one alone moves it half of the way. A wider band is worth
less, by the square of its width."""
_ENOUGH = 3
"""Samples of one model that say how far they spread."""
_SPREADS = 1.8
"""Eight of ten of a normal distribution lie within so many standard deviations, when those and the middle are known
from five samples alone."""


def calibrate(raw: Speed, model: str, place: Place, experience: Experience) -> Speed:
    """``raw`` is what was predicted without any correction; unchanged if nothing comparable was measured."""
    alike = [one for one in experience.samples if one.place == place and one.basis == raw.basis]
    decode = _Ratios.of(alike, model, raw.decode_tok_s, decode=True)
    prefill = _Ratios.of(alike, model, raw.prefill_tok_s, decode=False)
    return replace(
        raw,
        prefill_tok_s=_corrected(raw.prefill_tok_s, prefill),
        decode_tok_s=_corrected(raw.decode_tok_s, decode),
        calibrated=bool(decode.own),
        prefill_factor=prefill.factor,
        decode_factor=decode.factor,
    )


@dataclass(frozen=True, slots=True)
class _Ratios:
    """Measured over predicted."""

    own: tuple[float, ...]
    """The model's latest."""
    others: tuple[float, ...]
    """One of each other model: the middle of its latest."""
    doubt: float
    """As many models as the raw prediction is worth."""

    @classmethod
    def of(cls, samples: Sequence[SpeedSample], model: str, raw: Band, *, decode: bool) -> _Ratios:
        found: dict[str, list[float]] = {}
        for sample in samples:
            ratio = sample.decode_ratio if decode else sample.prefill_ratio
            if ratio is not None and ratio > 0:
                found.setdefault(sample.model, []).append(ratio)
        own = tuple(found.pop(model, [])[-_LATEST:])
        doubt = _DOUBT * min(1.0, math.log(TIMED_BAND[1]) / math.log(raw.high / raw.likely)) ** 2
        return cls(own, tuple(median(ratios[-_LATEST:]) for ratios in found.values()), doubt)

    @property
    def factor(self) -> float:
        """The model's own; else what the others have in common: their middle, drawn towards none while they are few."""
        if self.own:
            return median(self.own)
        if not self.others:
            return 1.0
        trust = len(self.others) / (len(self.others) + self.doubt)
        return math.exp(trust * median(math.log(ratio) for ratio in self.others))


def _corrected(band: Band, ratios: _Ratios) -> Band:
    """Other models move the band, only the model's own answers narrow it: each is predicted wrong in its own way."""
    likely = band.likely * ratios.factor
    if not ratios.own:
        return Band(band.low * ratios.factor, likely, band.high * ratios.factor)
    share = WIDEST
    if len(ratios.own) >= _ENOUGH:
        logs = [math.log(ratio / ratios.factor) for ratio in ratios.own]
        spread = math.sqrt(sum(log * log for log in logs) / (len(logs) - 1))
        share = min(WIDEST, max(NARROWEST, _SPREADS * spread))
    return Band(likely * (1 - share), likely, likely * (1 + share))
