"""What this machine was measured to do, as far as plans learn from it. Records only.

Storing measurements is ``measured.py``'s, correcting a prediction by them ``calibration.py``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Place = Literal["host", "card", "split"]
"""Where a plan computes: in main memory alone, on cards alone, or on both."""


@dataclass(frozen=True, slots=True)
class SpeedSample:
    """One model measured once, against what was predicted for the same plan before any correction."""

    model: str
    """The name of its first file."""
    place: Place
    decode_ratio: float | None
    """Measured over predicted; ``None`` when it was not measured."""
    prefill_ratio: float | None
    basis: str = ""
    """What the prediction was founded on; ratios to other foundations say nothing of this one."""


@dataclass(frozen=True, slots=True)
class Experience:
    """All that corrects the next plan of this machine."""

    samples: tuple[SpeedSample, ...] = ()
    """The oldest first."""
    allowances: tuple[tuple[str, int], ...] = ()
    """Bytes that a device (by ggml's name) was measured to take beyond what llama.cpp reports."""

    def allowance_bytes(self, device: str) -> int:
        return max((size for name, size in self.allowances if name == device), default=0)


NO_EXPERIENCE = Experience()
