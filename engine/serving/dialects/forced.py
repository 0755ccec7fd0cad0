"""Calls that an answer must hold, or must hold well-formed, as a grammar in the family's own form. Pure.

A family whose arguments are JSON is held to its own form; any other is asked for Hermes', which its answer is then
read in: arguments that follow a schema are worth more than a familiar notation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.errors import RequestError
from engine.llama.chat import Tool
from engine.llama.constrain import Constraint, lark_literal
from engine.serving.dialects.dialect import Dialect
from engine.serving.dialects.hermes import HERMES
from engine.serving.openai.structured import check_schema

MOST_CALLS: Final = 8
"""In one answer that must hold some; small models would never end."""
MAX_GRAMMAR_CHARS: Final = 1 << 18
_NAME: Final = "{name}"
_STYLE: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True, slots=True)
class CallForm:
    """How calls are written: ``first``, then each between ``before`` and ``after``, then ``last``."""

    before: str
    after: str
    first: str = ""
    last: str = ""
    between: str | None = None
    """``None``: one call only."""


_HERMES: Final = CallForm('<tool_call>\n{"name": "{name}", "arguments": ', "}\n</tool_call>", between="\n")
_LISTED: Final = CallForm('{"name": "{name}", "arguments": ', "}", between=", ")
_FORMS: Final[Mapping[str, CallForm]] = {
    "hermes": _HERMES,
    "phi": CallForm(_LISTED.before, "}", "<|tool_call|>[", "]<|/tool_call|>", ", "),
    "lfm": CallForm(_LISTED.before, "}", "<|tool_call_start|>[", "]<|tool_call_end|>", ", "),
    "llama": CallForm('{"name": "{name}", "parameters": ', "}"),
    "harmony": CallForm("<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>", ""),
    "kimi": CallForm(
        "<|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
    ),
}
_MISTRAL_LIST: Final = CallForm(_LISTED.before, "}", "[TOOL_CALLS][", "]", ", ")
_MISTRAL_NAMES: Final = CallForm("[TOOL_CALLS]{name}[ARGS]", "", between="")
_DEEPSEEK: Final = CallForm(
    "<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "",
)
_DEEPSEEK_R1: Final = CallForm(
    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n",
    "\n```<｜tool▁call▁end｜>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "\n",
)


def call_form(dialect: Dialect, template: str) -> CallForm | None:
    """The family's form, or ``None`` when its arguments are no JSON."""
    if dialect.name == "mistral":
        return _MISTRAL_NAMES if "[ARGS]" in template else _MISTRAL_LIST
    if dialect.name == "deepseek":
        return _DEEPSEEK_R1 if "```json" in template else _DEEPSEEK
    return _FORMS.get(dialect.name)


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """Writes grammars for one model."""

    dialect: Dialect
    template: str
    tokens: Mapping[str, int]
    """Tags that are tokens of their own in its vocabulary, control tokens or not: a grammar names them by number."""

    def demanded(self, tools: Sequence[Tool], strict: frozenset[str], *, several: bool) -> tuple[Constraint, Dialect]:
        """An answer that is a call, or ``several``; and the dialect in which it will be written.

        Raises: ``RequestError`` when a strict tool's schema cannot be enforced, or all are too large together.
        """
        form = call_form(self.dialect, self.template)
        if form is None:
            return replace(self, dialect=HERMES).demanded(tools, strict, several=several)
        calls = self._calls(form, tools, strict, several=several)
        return _grammar(f"start: {self._prelude()}calls\n{calls}"), self.dialect

    def or_answer(
        self, tools: Sequence[Tool], strict: frozenset[str], schema: str, *, several: bool
    ) -> tuple[Constraint, Dialect]:
        """An answer that is a call or follows a schema; and the dialect in which a call will be written.

        Raises: as :meth:`demanded`.
        """
        form = call_form(self.dialect, self.template)
        if form is None:
            return replace(self, dialect=HERMES).or_answer(tools, strict, schema, several=several)
        calls = self._calls(form, tools, strict, several=several)
        return _grammar(f"start: {self._prelude()}(calls | answer)\n{calls}{self._answer(schema)}"), self.dialect

    def answer(self, schema: str) -> Constraint | None:
        """An answer that follows a schema, where the family writes anything around its answers; else ``None``."""
        return _grammar(f"start: {self._prelude()}answer\n{self._answer(schema)}") if self._has_channels else None

    def well_formed(self, tools: Sequence[Tool], strict: frozenset[str], *, several: bool) -> Constraint | None:
        """Any answer whose calls, if it holds some, are well-formed; ``None`` where no tag announces a call."""
        form = call_form(self.dialect, self.template)
        opening = re.match(r"<[^<>]*>|\[TOOL_CALLS\]", (form.first + form.before) if form is not None else "")
        if form is None or opening is None or self._has_channels:
            return None
        calls = self._calls(form, tools, strict, several=several)
        tag = opening[0]
        free = "free: /(.|\\n)*/\n"
        if tag in self.tokens:
            return _grammar(f"start: {self._thoughts()}free calls?\n{free}{calls}")
        if form.first:
            return None
        # The tag is text, so it belongs to the end of the free text; the first call goes on behind it.
        first = self._one(form, tools, strict, cut=len(tag))
        more = f" ({self._terms(form.between)} call){{0,{MOST_CALLS - 1}}}" if several and form.between else ""
        spelled = re.escape(tag).replace("/", "\\/")
        return _grammar(
            f"start: {self._thoughts()}(free | tagged first{more})\n{free}tagged[lazy]: /(.|\\n)*{spelled}/\n"
            f"first: {first}\ncall: {self._one(form, tools, strict)}\n"
        )

    # Parts

    @property
    def _has_channels(self) -> bool:
        return self.dialect.name == "harmony"

    def _prelude(self) -> str:
        """What may come before, in a family that says everything in channels."""
        if not self._has_channels:
            return ""
        begin, message, end, start = map(self._terms, ("<|channel|>", "<|message|>", "<|end|>", "<|start|>"))
        return f'({begin} "analysis" {message} /(.|\\n)*/ {end} {start} "assistant")? '

    def _thoughts(self) -> str:
        """Reasoning whose tags free text cannot hold, because they are control tokens."""
        if not {"<think>", "</think>"} <= self.tokens.keys():
            return ""
        return f"({self._terms('<think>')} /(.|\\n)*/ {self._terms('</think>')})? "

    def _answer(self, schema: str) -> str:
        head = f"{self._terms('<|channel|>final<|message|>')} " if self._has_channels else ""
        return f"answer: {head}{_json(json.loads(schema))}\n"

    def _calls(self, form: CallForm, tools: Sequence[Tool], strict: frozenset[str], *, several: bool) -> str:
        parts = [self._terms(form.first), "call"]
        if several and form.between is not None:
            parts.append(f"({self._terms(form.between)} call){{0,{MOST_CALLS - 1}}}")
        parts.append(self._terms(form.last))
        return f"calls: {' '.join(part for part in parts if part)}\ncall: {self._one(form, tools, strict)}\n"

    def _one(self, form: CallForm, tools: Sequence[Tool], strict: frozenset[str], cut: int = 0) -> str:
        """One call of any of the tools; without the first ``cut`` characters."""
        written = []
        for tool in tools:
            before = self._terms(form.before.replace(_NAME, tool.name)[cut:])
            arguments = _json(_parameters(tool, strict=tool.name in strict))
            written.append(" ".join(part for part in (before, arguments, self._terms(form.after)) if part))
        return " | ".join(written)

    def _terms(self, text: str) -> str:
        """A text as terms of a grammar, its control tokens by their numbers."""
        present = [re.escape(tag) for tag in self.dialect.tags if tag in self.tokens]
        parts = re.split(f"({'|'.join(present)})", text) if present else [text]
        return " ".join(
            f"<[{self.tokens[part]}]>" if index % 2 else _literal(part) for index, part in enumerate(parts) if part
        )


def _literal(text: str) -> str:
    """A brace stands alone: the grammar's lexer never looks back, and JSON of another form may begin with it too."""
    return f"{lark_literal('{')} {lark_literal(text[1:])}" if text.startswith('{"') else lark_literal(text)


def _parameters(tool: Tool, *, strict: bool) -> Mapping[str, Any]:
    """The schema that the arguments are held to: any object where theirs cannot be enforced and need not be."""
    try:
        check_schema(dict(tool.parameters), f"the parameters of {tool.name}")
    except RequestError:
        if strict:
            raise
        return {"type": "object"}
    schema = {name: value for name, value in tool.parameters.items() if name != "$schema"}
    if "properties" in schema:
        # Nobody asks a model for parameters that have no name.
        schema.setdefault("additionalProperties", False)
    schema.setdefault("type", "object")
    return schema


def _json(schema: Mapping[str, Any]) -> str:
    return "%json " + json.dumps({**schema, "x-guidance": _STYLE}, ensure_ascii=False)


def _grammar(text: str) -> Constraint:
    if len(text) > MAX_GRAMMAR_CHARS:
        raise RequestError(
            "invalid_parameter",
            f"The schemas of all tools together have {len(text):,} characters; {MAX_GRAMMAR_CHARS:,} can be enforced.",
            "Offer fewer tools, or let the model choose.",
            param="tools",
        )
    return Constraint("lark", text)
