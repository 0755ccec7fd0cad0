"""A checked chat call made ready to run: what its template is told, how its answer is read, what it must look like.

Blocks, because rendering and tokenizing do; for the threads that prepare requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from engine.errors import RequestError
from engine.llama.chat import Chat
from engine.llama.constrain import Constraint
from engine.llama.template import ChatTemplate
from engine.llama.tokens import Vocabulary
from engine.serving.dialects.detect import detect
from engine.serving.dialects.dialect import THINK, Dialect, Setting
from engine.serving.dialects.forced import CallGrammar
from engine.serving.dialects.hermes import HERMES
from engine.serving.dialects.pieces import control
from engine.serving.http.generation import Prepared
from engine.serving.http.reading import DialectReader, Reader
from engine.serving.openai.wire import ChatCall
from engine.serving.openai.wire_tools import TemplateOptions

_THINK_TAGS: Final = ("<think>", "</think>", "[THINK]")
_WITHOUT_TAGS: Final = frozenset({"harmony", "gemma"})
"""Dialects whose answers need reading, whatever is asked."""
_SWITCHES: Final = ("enable_thinking", "thinking")
_WORD: Final = re.compile(r"\w+")


class ChatPreparer:
    """For one model. Any thread."""

    def __init__(self, vocabulary: Vocabulary, template: ChatTemplate) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self._dialect = detect(template.source)
        source = template.source or ""
        known = any(tag in source for tag in _THINK_TAGS) or _single_token(vocabulary, THINK[0]) is not None
        self._thinks = known or self._dialect.name in _WITHOUT_TAGS
        self._controls = vocabulary.controls
        tags = {*self._dialect.tags, *HERMES.tags}
        self._tags = {tag: token for tag in tags if (token := _single_token(vocabulary, tag)) is not None}

    def prepare(self, call: ChatCall) -> Prepared:
        """Raises: ``RequestError`` of the template, of an option that it does not know, of a schema that cannot be
        enforced."""
        tools = call.tool_use.offered
        options = template_variables(call.template_options, self._template.source or "", thinks=self._thinks)
        rendered = self._template.render_chat(Chat(call.messages, tools, options))
        tokens = tuple(self._vocabulary.tokenize_segments(rendered.segments))
        dialect = HERMES if tools and rendered.told_in_words else self._dialect
        constraint, dialect = self._constraint(call, dialect)
        if not tools and not self._thinks:
            return Prepared((tokens,), call.options, constraint=constraint)
        prompt_end = rendered.end
        if constraint is not None and prompt_end.rstrip().endswith(THINK[0]):
            end = self._tags.get(THINK[1])
            constraint = replace(constraint, starts_after=end)
            # Where no token ends the thinking, the constraint begins at once, and there is none.
            prompt_end = prompt_end if end is not None else ""
        setting = Setting(
            tools={tool.name: tool.parameters for tool in tools},
            prompt_end=prompt_end,
            controls=frozenset(tag for tag in dialect.tags if tag in self._controls),
        )
        shown = {self._controls[tag]: control(tag) for tag in setting.controls}
        reader = _reader(dialect, setting, parallel=call.tool_use.parallel)
        return Prepared((tokens,), call.options, reader, shown_controls=shown, constraint=constraint)

    def _constraint(self, call: ChatCall, dialect: Dialect) -> tuple[Constraint | None, Dialect]:
        """What the answer must look like, and the dialect that this is written in."""
        use, asked = call.tool_use, call.options.constraint
        grammar = CallGrammar(dialect, self._template.source or "", self._tags)
        if not use.offered:
            schema = asked.text if asked is not None and asked.kind == "json_schema" else None
            return (grammar.answer(schema) or asked if schema is not None else asked), dialect
        if use.mode == "required":
            return grammar.demanded(use.offered, use.strict, several=use.parallel)
        if asked is not None:
            if asked.kind != "json_schema":
                raise RequestError(
                    "invalid_parameter",
                    "An answer that may call tools can be held to a JSON schema, and to no other form.",
                    'Set tool_choice to "none", or use response_format.',
                    param="tools",
                )
            return grammar.or_answer(use.offered, use.strict, asked.text, several=use.parallel)
        if use.strict.isdisjoint(use.callable):
            return None, dialect
        return grammar.well_formed(use.offered, use.strict, several=use.parallel), dialect

    def tokens(self, chat: Chat) -> list[int]:
        """A chat as the model's template writes it. Raises: ``RequestError``."""
        return self._vocabulary.tokenize_segments(self._template.render_chat(chat).segments)


def _reader(dialect: Dialect, setting: Setting, *, parallel: bool) -> Callable[[int], Reader]:
    def make(choice: int) -> Reader:
        return DialectReader(choice, dialect, setting, parallel=parallel)

    return make


def _single_token(vocabulary: Vocabulary, spelling: str) -> int | None:
    tokens = vocabulary.tokenize(spelling, parse_special=True, add_bos=False)
    return tokens[0] if len(tokens) == 1 else None


def template_variables(options: TemplateOptions, template: str, *, thinks: bool) -> Mapping[str, Any]:
    """The variables that a template is told, an effort put into the words that it knows.

    Raises: ``RequestError`` when it knows none for that effort: it would be ignored.
    """
    effort = options.effort
    if effort is None:
        return options.given
    words = frozenset(_WORD.findall(template))
    switches = {name: effort not in ("none", "minimal") for name in _SWITCHES if name in words}
    if "reasoning_effort" in words:
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
