"""The form that each field's answer may take for one window of a document, as JSON schemas.

A value is chosen rather than written: dates, amounts and numbers among those that the window holds, together with the
words before them on their line; texts as runs of words of the window. So most answers are proven by their form, and
what is forced need not be decoded. Every field may be ``null``. Where a window is too large for that, texts are free
and ``ground`` looks for them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.extraction.blocks import MAX_ADDRESS_LINES, block_form
from app.extraction.finding import find
from app.extraction.firms import FIRM_WORDS, firm_names
from app.extraction.schema import Field, FieldType
from app.extraction.view import Line

JsonSchema = dict[str, Any]

FOUND: Final = (FieldType.DATE, FieldType.NUMBER, FieldType.AMOUNT, FieldType.EMAIL, FieldType.IBAN, FieldType.VAT_ID)
"""Types whose values have a form of their own."""
LABELLED: Final = (FieldType.NUMBER, FieldType.AMOUNT)
"""Answered together with the words before them."""
QUOTED: Final = (FieldType.BOOLEAN, FieldType.CHOICE)
"""Types whose values need not stand in the document: the words that show them are asked for first."""
MAX_LABEL_CHARS: Final = 60
MAX_LIST_ITEMS: Final = 40
_MAX_PATTERN_CHARS: Final = 20_000
_MAX_OPTIONS_CHARS: Final = 12_000
_MAX_RUN_WORDS: Final = 14
_SHORT_LINE_WORDS: Final = 9
_PROSE_LABEL_WORDS: Final = 4
_SHORT_WORD_CHARS: Final = 4
_BETWEEN: Final = frozenset({"and", "or", "between", "und", "oder", "zwischen", "et", "y"})
_MAX_TEXT_CHARS: Final = 300
_FOREIGN_DATE: Final = re.compile(r"\b\d{1,2}\.?\s+[^\W\d_]{3,}\.?\s+\d{4}\b")
_SUB_TOTAL: Final = re.compile(r"\bsub\W?\s?total\b", re.IGNORECASE)
_NULL: Final[JsonSchema] = {"type": "null"}
_SPECIAL: Final = re.compile(r"([.^$*+?()\[\]{}|\\/&~#-])")


@dataclass(frozen=True, slots=True)
class Option:
    """What may be answered for a field: ``text`` ends with the value, which is ``value_chars`` long."""

    text: str
    value_chars: int
    line: int
    start: int
    """Of the value, in its line."""

    @property
    def value(self) -> str:
        return self.text[len(self.text) - self.value_chars :]


class WindowForms:
    """The forms for one window; what fields share is made once and referred to."""

    def __init__(self, lines: Sequence[Line], *, wide: bool = False, cells: bool = False) -> None:
        """``wide``: numbers are offered whatever stands before them. ``cells``: values are those of columns, so none
        reaches over a wide gap, and numbers have no words before them."""
        texts = [line.text for line in lines]
        self._lines = [part for text in texts for part in re.split(r"\s{2,}", text)] if cells else texts
        self._wide = wide or cells
        self._cells = cells
        self._defs: dict[str, JsonSchema] = {}
        self.narrowed: set[str] = set()
        """Names of fields that were offered only what has their own words before it."""

    def schema(self, fields: Sequence[Field]) -> JsonSchema:
        """The answer to all these fields: an object with each of them, in order."""
        self._defs = {}
        made = self._object(fields)
        return {**made, "$defs": self._defs} if self._defs else made

    def _object(self, fields: Sequence[Field]) -> JsonSchema:
        return {
            "type": "object",
            "properties": {field.name: self._form(field) for field in fields},
            "required": [field.name for field in fields],
            "additionalProperties": False,
        }

    def _form(self, field: Field) -> JsonSchema:
        match field.type:
            case FieldType.GROUP:
                return self._object([one for one in field.fields if one.type is not FieldType.TABLE])
            case FieldType.LIST:
                items = self._single(field.item_type, field.choices, nullable=False)
                return {"anyOf": [{"type": "array", "items": items, "maxItems": MAX_LIST_ITEMS}, _NULL]}
            case FieldType.ADDRESS:
                return {"anyOf": [self._address(), _NULL]}
            case _ if field.type in QUOTED:
                return self._quoted(field)
            case _:
                return self._narrowed(field) or self._single(field.type, field.choices, nullable=True)

    def _address(self) -> JsonSchema:
        """Runs of lines; any lines where that would be too long."""
        if "address" not in self._defs:
            free: JsonSchema = {"type": "string", "minLength": 1, "maxLength": _MAX_TEXT_CHARS}
            lines: JsonSchema = {"type": "array", "items": free, "minItems": 1, "maxItems": MAX_ADDRESS_LINES}
            self._defs["address"] = block_form(self._lines) or lines
        return {"$ref": "#/$defs/address"}

    def _quoted(self, field: Field) -> JsonSchema:
        """The words first, so that the model reads before it judges."""
        value = self._single(field.type, field.choices, nullable=False)
        both: JsonSchema = {
            "type": "object",
            "properties": {"quote": {"anyOf": [self._runs(), _NULL]}, "value": value},
            "required": ["quote", "value"],
            "additionalProperties": False,
        }
        return {"anyOf": [both, _NULL]}

    def _narrowed(self, field: Field) -> JsonSchema | None:
        """Where some values have the field's own words before them, or are names of firms, only those."""
        words = label_words(field)
        texts: list[str] = []
        if field.type in LABELLED and not self._wide:
            named = [one for one in self.options(field.type) if supports(one, words)]
            if not any(word.startswith("sub") for word in words):
                named = [one for one in named if not _SUB_TOTAL.search(one.text)] or named
            texts = list(dict.fromkeys(one.text for one in named))
        elif field.type is FieldType.TEXT and not self._wide and set(words) & FIRM_WORDS:
            texts = firm_names(self._lines)
        if not texts or sum(map(len, texts)) > _MAX_OPTIONS_CHARS:
            return None
        self.narrowed.add(field.name)
        return {"enum": [*texts, None]}

    def _single(self, kind: FieldType, choices: tuple[str, ...], *, nullable: bool) -> JsonSchema:
        if kind in FOUND:
            texts = list(dict.fromkeys(option.text for option in self.options(kind)))
            if sum(map(len, texts)) <= _MAX_OPTIONS_CHARS and (texts or not self._may_be_written(kind)):
                return {"enum": [*texts, None]} if nullable or not texts else {"enum": texts}
            free: JsonSchema = {"type": "string", "minLength": 1, "maxLength": 2 * MAX_LABEL_CHARS}
            return {"anyOf": [free, _NULL]} if nullable else free
        if kind is FieldType.BOOLEAN:
            return {"type": ["boolean", "null"] if nullable else "boolean"}
        if kind is FieldType.CHOICE:
            return {"enum": [*choices, None]} if nullable else {"enum": list(choices)}
        return {"anyOf": [self._runs(), _NULL]} if nullable else self._runs()

    def _may_be_written(self, kind: FieldType) -> bool:
        """Whether a value may stand there in a form that the finders do not know: dates in other languages, odd ids."""
        if kind is FieldType.DATE:
            return any(_FOREIGN_DATE.search(line) for line in self._lines)
        return kind is FieldType.VAT_ID

    def _runs(self) -> JsonSchema:
        """Runs of words; any text where that would be too long an expression."""
        if "words" not in self._defs:
            pattern = words_pattern(self._lines, over_ends=not self._cells)
            free: JsonSchema = {"type": "string", "minLength": 1, "maxLength": _MAX_TEXT_CHARS}
            self._defs["words"] = {"type": "string", "pattern": pattern} if pattern else free
        return {"$ref": "#/$defs/words"}

    def options(self, kind: FieldType) -> list[Option]:
        """All values of a type with a form of its own."""
        found = list(options_of(kind, self._lines))
        if not found and kind is FieldType.AMOUNT:
            found = list(options_of(FieldType.NUMBER, self._lines))
        if not self._cells:
            return found
        found = [Option(one.value, one.value_chars, one.line, one.start) for one in found]
        return [one for one in found if one.value == self._lines[one.line]] or found


def options_of(kind: FieldType, lines: Sequence[str]) -> Iterator[Option]:
    """The values of a type, with what stands before them where that tells them apart."""
    spans = [(number, span) for number, line in enumerate(lines) for span in find(kind, line)]
    distinct = {lines[number][start:end] for number, (start, end) in spans}
    labelled = kind in LABELLED or (kind is FieldType.DATE and len(distinct) > 1)
    for number, (start, end) in spans:
        begin = _label_start(lines[number], start) if labelled else start
        yield Option(lines[number][begin:end], end - start, number, start)


def label_words(field: Field) -> tuple[str, ...]:
    """What may stand beside the value, in lower case: words of name and label, and the synonyms."""
    text = f"{field.name.replace('_', ' ')} {field.label}".lower()
    return tuple(dict.fromkeys((*re.findall(r"[^\W\d_]{3,}", text), *(one.lower() for one in field.synonyms))))


def supports(option: Option, words: Sequence[str]) -> int:
    """How many of the words stand before the value."""
    label = option.text[: len(option.text) - option.value_chars].lower()
    return sum(names(word, label) for word in words)


def names(word: str, label: str) -> bool:
    """Whether a label (in lower case) has a word; a short one only where words begin: no *net* in *cabinet*."""
    if len(word) > _SHORT_WORD_CHARS:
        return word in label
    return any(not label[at - 1 : at].isalpha() for at in range(len(label)) if label.startswith(word, at))


def _label_start(line: str, start: int) -> int:
    """Of the words before a value: those of its own column where it has some, else of the line."""
    column = max((gap.end() for gap in re.finditer(r"\s{2,}", line[:start])), default=0)
    if column and start - column <= MAX_LABEL_CHARS and re.search(r"[^\W\d_]{3,}", line[column:start]):
        return column
    words = [word.start() for word in re.finditer(r"\S+", line[:start])]
    sentence = not column and len(line.split()) > _SHORT_LINE_WORDS and not re.search(r"\s{2,}", line)
    if len(words) > (_PROSE_LABEL_WORDS if sentence else _SHORT_LINE_WORDS):
        return words[-_PROSE_LABEL_WORDS]  # of a sentence only what stands right before it tells values apart
    if start <= MAX_LABEL_CHARS:
        return 0
    cut = line.find(" ", start - MAX_LABEL_CHARS)
    return min(cut + 1, start) if cut >= 0 else start


def words_pattern(lines: Sequence[str], *, over_ends: bool = True) -> str:
    """An expression for runs of words of the lines; a run may go on at the beginning of the next line.

    Of short lines a run begins where something may begin: at the start, behind a gap or a label, at a number or a
    bracket. Empty when it would be too long.
    """
    words = [re.findall(r"\S+", line) for line in lines]
    gaps = [re.findall(r"\s+", line) for line in lines]
    runs: dict[str, None] = {}
    size = 0
    for number, own in enumerate(words):
        for first in range(len(own)):
            if not _may_begin(own, gaps[number], first):
                continue
            run, between = own[first : first + _MAX_RUN_WORDS], gaps[number][first:]
            more = _MAX_RUN_WORDS - len(run)
            if over_ends and more and number + 1 < len(words):
                run, between = run + words[number + 1][:more], [*between, " ", *gaps[number + 1]]
            made = _nested(run, between)
            runs[made] = None
            size += len(made) + 1
            if size > _MAX_PATTERN_CHARS:
                return ""
    return f"^(?:{'|'.join(runs)})$" if runs else ""


def _may_begin(words: Sequence[str], gaps: Sequence[str], index: int) -> bool:
    if index == 0 or len(words) > _SHORT_LINE_WORDS or len(gaps[index - 1]) > 1:
        return True
    before = words[index - 1]
    return (
        before.lower() in _BETWEEN
        or before[-1] in ":#=.-–|/,;"
        or words[index][0] in "(\"'"
        or any(map(str.isdigit, words[index]))
    )


def _nested(run: Sequence[str], gaps: Sequence[str]) -> str:
    """``a(?: b(?: c)?)?``: each word may be the last."""
    made = ""
    for index in range(len(run) - 1, 0, -1):
        made = f"(?:{gaps[index - 1]}{_escaped(run[index])}{made})?"
    return _escaped(run[0]) + made


def _escaped(word: str) -> str:
    return _SPECIAL.sub(r"\\\1", word)
