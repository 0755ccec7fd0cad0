"""A checked chat call made ready to run: what its template is told, how its answer is read, what it must look like.

Blocks, because rendering and tokenizing do; for the threads that prepare requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.errors import RequestError
from engine.llama.chat import Chat
from engine.llama.template import ChatTemplate, Rendered
from engine.llama.tokens import Vocabulary
from engine.serving.dialects.detect import detect
from engine.serving.dialects.dialect import Dialect, Setting
from engine.serving.dialects.hermes import HERMES
from engine.serving.dialects.pieces import control
from engine.serving.generation import Prepared
from engine.serving.reading import DialectReader, Reader
from engine.serving.wire import ChatCall
from engine.serving.wire_tools import TemplateOptions

_THINK_TAGS: Final = ("<think>", "</think>", "[THINK]")
_WITHOUT_TAGS: Final = frozenset({"harmony", "gemma"})
"""Dialects whose answers need reading, whatever is asked."""
_SWITCHES: Final = ("enable_thinking", "thinking")


class ChatPreparer:
    """For one model. Any thread."""

    def __init__(self, vocabulary: Vocabulary, template: ChatTemplate) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self._dialect = detect(template.source)
        source = template.source or ""
        known = any(tag in source for tag in _THINK_TAGS) or _is_token(vocabulary, "<think>")
        self._thinks = known or self._dialect.name in _WITHOUT_TAGS
        self._controls = vocabulary.controls

    def prepare(self, call: ChatCall) -> Prepared:
        """Raises: ``RequestError`` of the template, or of an option that the template does not know."""
        tools = call.tool_use.offered
        options = template_variables(call.template_options, self._template.source or "", thinks=self._thinks)
        rendered = self._template.render_chat(Chat(call.messages, tools, options))
        tokens = tuple(self._vocabulary.tokenize_segments(rendered.segments))
        if not tools and not self._thinks:
            return Prepared((tokens,), call.options)
        dialect = HERMES if tools and rendered.told_in_words else self._dialect
        setting = self._setting(dialect, call, rendered)
        shown = {self._controls[tag]: control(tag) for tag in setting.controls}
        reader = _reader(dialect, setting, parallel=call.tool_use.parallel)
        return Prepared((tokens,), call.options, reader, shown_controls=shown)

    def tokens(self, chat: Chat) -> list[int]:
        """A chat as the model's template writes it. Raises: ``RequestError``."""
        return self._vocabulary.tokenize_segments(self._template.render_chat(chat).segments)

    def _setting(self, dialect: Dialect, call: ChatCall, rendered: Rendered) -> Setting:
        return Setting(
            tools={tool.name: tool.parameters for tool in call.tool_use.offered},
            prompt_end=rendered.end,
            controls=frozenset(tag for tag in dialect.tags if tag in self._controls),
        )


def _reader(dialect: Dialect, setting: Setting, *, parallel: bool) -> Callable[[int], Reader]:
    def make(choice: int) -> Reader:
        return DialectReader(choice, dialect, setting, parallel=parallel)

    return make


def _is_token(vocabulary: Vocabulary, spelling: str) -> bool:
    return len(vocabulary.tokenize(spelling, parse_special=True, add_bos=False)) == 1


def template_variables(options: TemplateOptions, template: str, *, thinks: bool) -> Mapping[str, Any]:
    """The variables that a template is told, an effort put into the words that it knows.

    Raises: ``RequestError`` when it knows none for that effort: it would be ignored.
    """
    effort = options.effort
    if effort is None:
        return options.given
    switches = {name: effort not in ("none", "minimal") for name in _SWITCHES if name in template}
    if "reasoning_effort" in template:
        switches = dict.fromkeys(switches, effort != "none")
        if "<|channel|>" in template:  # gpt-oss, which knows three and cannot be told not to think
            effort = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)
        return {"reasoning_effort": effort, **switches, **options.given}
    if switches or (effort == "none" and not thinks):
        return {**switches, **options.given}
    raise RequestError(
        "unsupported_parameter",
        "reasoning_effort is not known to this model's chat template.",
        "It would change nothing, so it is refused rather than ignored.",
        param="reasoning_effort",
    )
