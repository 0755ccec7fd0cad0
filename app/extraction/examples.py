"""Corrected documents as turns before the next one: which of them, and what the model should have answered.

The same examples in the same order serve every document of a schema, so that their turns are computed once. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from app.extraction.ask import Turn, dumps
from app.extraction.blocks import MAX_ADDRESS_LINES, block_of
from app.extraction.forms import FOUND, QUOTED, WindowForms, label_words, supports
from app.extraction.ground import Source
from app.extraction.normalise import fold, same_value
from app.extraction.prompt import document_turn
from app.extraction.records import Example
from app.extraction.schema import Field, FieldType
from app.extraction.view import Line, Window, lines_of

MAX_EXAMPLES: Final = 3
_FIRST_LINES: Final = 2
_LEFT_OUT: Final = "…"
_SAME_FORM: Final = 0.75
"""Two documents with so many common words are of one form; the second teaches nothing and costs as much."""
MAX_EXAMPLE_CHARS: Final = 4000
"""Longer ones would cost more than they teach."""


def choose(examples: Sequence[Example], fields: Sequence[Field], most: int = MAX_EXAMPLES) -> list[Example]:
    """The examples to show: short ones with many fields and corrections that look different from each other."""
    names = {field.name for field in fields}
    usable = [one for one in examples if one.text.strip() and len(one.text) <= MAX_EXAMPLE_CHARS]
    usable = [one for one in usable if any(value.name.split(".")[0].split("[")[0] in names for value in one.values)]
    chosen: list[Example] = []
    while usable and len(chosen) < most:
        best = max(usable, key=lambda one: _worth(one, chosen))
        usable.remove(best)
        chosen.append(best)
        usable = [one for one in usable if _likeness(one.text, best.text) < _SAME_FORM]
    return chosen


def _worth(example: Example, chosen: Sequence[Example]) -> float:
    known = sum(value.value is not None for value in example.values)
    alike = max((_likeness(example.text, other.text) for other in chosen), default=0.0)
    return known + example.corrected - 2.0 * alike - len(example.text) / MAX_EXAMPLE_CHARS


def _likeness(one: str, other: str) -> float:
    """Common words by all words."""
    left, right = set(re.findall(r"[^\W\d_]{3,}", one.lower())), set(re.findall(r"[^\W\d_]{3,}", other.lower()))
    return len(left & right) / max(1, len(left | right))


def turns_of(example: Example, fields: Sequence[Field]) -> list[Turn]:
    """The document and the answer that it should have had."""
    lines = lines_of(example.text)
    given = {value.name: value.value for value in example.values}
    answer = _object(fields, "", given, lines)
    kept = tuple(_telling(lines, fields, set(_texts_of(answer))))
    return [document_turn(Window(kept), fields, whole=True), Turn("assistant", dumps(answer))]


def _telling(lines: Sequence[Line], fields: Sequence[Field], answers: set[str]) -> Iterator[Line]:
    """The lines that teach: those with an answer, their neighbours, those with words of a field, and the first ones.

    What is left out shows as a line of its own. A whole receipt costs twice the tokens and teaches no more.
    """
    words = {word for field in fields for word in label_words(field)}
    told = [any(answer in line.text for answer in answers) for line in lines]
    left_out = False
    for number, line in enumerate(lines):
        near = any(told[max(0, number - 1) : number + 2])
        if near or number < _FIRST_LINES or any(word in line.text.lower() for word in words):
            left_out = False
            yield line
        elif not left_out:
            left_out = True
            yield Line(_LEFT_OUT, ((0, line.offset(0)),))


def _texts_of(answer: Any) -> Iterator[str]:
    if isinstance(answer, str):
        yield answer
    elif isinstance(answer, dict):
        for one in answer.values():
            yield from _texts_of(one)
    elif isinstance(answer, list):
        for one in answer:
            yield from _texts_of(one)


def _object(fields: Sequence[Field], prefix: str, given: Mapping[str, str | None], lines: list[Line]) -> dict[str, Any]:
    return {field.name: _answer(field, f"{prefix}{field.name}", given, lines) for field in fields}


def _answer(field: Field, path: str, given: Mapping[str, str | None], lines: list[Line]) -> Any:
    if field.type is FieldType.GROUP:
        inner = [one for one in field.fields if one.type is not FieldType.TABLE]
        return _object(inner, f"{path}.", given, lines)
    if field.type is FieldType.LIST:
        items = [value for name, value in given.items() if re.fullmatch(re.escape(path) + r"\[\d+\]", name) and value]
        return [_scalar(field, field.item_type, item, lines) for item in items] or None
    value = given.get(path)
    if value is None:
        return None
    if field.type is FieldType.ADDRESS:
        return _address_lines(value, lines)
    if field.type in QUOTED:
        return {"quote": _quote(value, lines), "value": _scalar(field, field.type, value, lines)}
    return _scalar(field, field.type, value, lines)


def _quote(value: str, lines: list[Line]) -> str | None:
    """The line that has the value's own words; a corrected value does not say what showed it."""
    return next((line.text for line in lines if fold(value) and fold(value) in fold(line.text)), None)


def _scalar(field: Field, kind: FieldType, value: str, lines: list[Line]) -> Any:
    if kind is FieldType.BOOLEAN:
        return value == "true"
    if kind in FOUND:
        return _option(field, kind, value, lines)
    if kind is FieldType.CHOICE:
        return value
    return _as_written(value, lines)


def _option(field: Field, kind: FieldType, value: str, lines: list[Line]) -> str:
    """The option that says the value, with the words before it that tell most of the field."""
    fitting = [option for option in WindowForms(lines).options(kind) if same_value(kind, option.value, value)]
    words = label_words(field)
    best = max(fitting, key=lambda option: (supports(option, words), option.line), default=None)
    return best.text if best is not None else value


def _as_written(value: str, lines: list[Line]) -> str:
    """The value as the document writes it."""
    found = Source(lines).find(FieldType.TEXT, value)
    return " ".join(_text_at(span, lines) for span in found.spans) or value


def _text_at(span: tuple[int, int], lines: Sequence[Line]) -> str:
    for line in lines:
        if line.offset(0) <= span[0] <= line.offset(len(line.text) - 1):
            found = [i for i in range(len(line.text)) if span[0] <= line.offset(i) < span[1]]
            return line.text[found[0] : found[-1] + 1] if found else ""
    return ""


def _address_lines(value: str, lines: list[Line]) -> list[str]:
    """The lines of the document that make up an address; its own lines where they cannot be found."""
    block = block_of([line.text for line in lines], value)
    if block:
        return block
    found = Source(lines).find(FieldType.ADDRESS, value)
    texts = [text for span in found.spans if (text := _text_at(span, lines))]
    if texts:
        return texts[:MAX_ADDRESS_LINES]
    folded = fold(value)
    texts = [line.text for line in lines if len(fold(line.text)) > 2 and fold(line.text) in folded]
    return (texts or [line for line in value.splitlines() if line.strip()])[:MAX_ADDRESS_LINES]
