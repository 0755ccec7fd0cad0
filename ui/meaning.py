"""What a machine's memory means for choosing a model, in one sentence. Pure arithmetic, no promise of speed."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from engine.hardware.profile import Machine
from ui import display

_BYTES_A_PARAMETER = 0.60
"""Q4_K_M, about 4.85 bits a weight. Source: llama.cpp's quantization table."""
_OVERHEAD_BYTES = 1 << 30
"""Left for the context and compute buffers."""
_SIZES_B = (1, 3, 4, 8, 14, 24, 32, 49, 70, 109, 235)
"""Billions of parameters that models usually have."""


def largest_model_b(free_bytes: int) -> int:
    """Billions of parameters (of the usual sizes) that fit quantized to about 4 bits; 0 if none does."""
    fitting = [size for size in _SIZES_B if size * 1e9 * _BYTES_A_PARAMETER + _OVERHEAD_BYTES <= free_bytes]
    return fitting[-1] if fitting else 0


def what_it_means(machine: Machine) -> str:
    """One sentence about what can be expected of this machine."""
    free = machine.memory.available_bytes
    cards = [gpu for gpu in machine.gpus if not gpu.unified and gpu.total_bytes > 0 and gpu.backend]
    size = largest_model_b(free)
    if size == 0:
        words = _tr("With %1 free this machine runs small models, like the one that came with the set-up.")
        return words.replace("%1", display.byte_size(free))
    if cards:
        card = max(cards, key=lambda gpu: gpu.free_bytes)
        on_card = largest_model_b(card.free_bytes)
        words = _tr(
            "Models of up to about %1 billion parameters (4-bit) fit on the graphics card, and up to about %2 billion "
            "in main memory."
        )
        if on_card:
            return words.replace("%1", str(on_card)).replace("%2", str(size))
    words = _tr("With %1 free, models of up to about %2 billion parameters (4-bit) fit in memory.")
    return words.replace("%1", display.byte_size(free)).replace("%2", str(size))


def _tr(text: str) -> str:
    return QCoreApplication.translate("meaning", text)
