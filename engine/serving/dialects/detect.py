"""Which dialect a model speaks: by what its chat template spells, which is what it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.serving.dialects.deepseek import DEEPSEEK
from engine.serving.dialects.dialect import Dialect
from engine.serving.dialects.gemma import GEMMA
from engine.serving.dialects.glm import GLM
from engine.serving.dialects.harmony import HARMONY
from engine.serving.dialects.hermes import HERMES, PHI
from engine.serving.dialects.invoke import DSML, MINIMAX
from engine.serving.dialects.kimi import KIMI
from engine.serving.dialects.lfm import LFM
from engine.serving.dialects.llama import LLAMA
from engine.serving.dialects.mistral import MISTRAL
from engine.serving.dialects.qwen_coder import QWEN_CODER

_SIGNS: Final[tuple[tuple[Dialect, Callable[[str], bool]], ...]] = (
    (HARMONY, lambda template: "<|channel|>" in template and "<|message|>" in template),
    (GEMMA, lambda template: "<|tool_call>" in template or "<|channel>" in template),
    (KIMI, lambda template: "<|tool_calls_section_begin|>" in template),
    (DSML, lambda template: "｜DSML｜" in template),
    (DEEPSEEK, lambda template: "<｜tool▁calls▁begin｜>" in template),
    (MINIMAX, lambda template: "<minimax:tool_call>" in template),
    (MISTRAL, lambda template: "[TOOL_CALLS]" in template or "[THINK]" in template),
    (QWEN_CODER, lambda template: "<function=" in template and "<parameter=" in template),
    (GLM, lambda template: "<arg_key>" in template),
    (HERMES, lambda template: "<tool_call>" in template),
    (LFM, lambda template: "<|tool_call_start|>" in template or "<|tool_list_start|>" in template),
    (LFM, lambda template: "List of tools: [" in template),
    (PHI, lambda template: "<|tool_call|>" in template),
    (LLAMA, lambda template: "<|python_tag|>" in template or '"parameters": ' in template),
    (LLAMA, lambda template: "<|python_start|>" in template),
)
"""The first whose sign is there."""


def detect(template: str | None) -> Dialect:
    """The dialect of a template; Hermes' for one that gives no sign, because that is what ``fallback.py`` asks for."""
    if template is not None:
        for dialect, has_sign in _SIGNS:
            if has_sign(template):
                return dialect
    return HERMES
