"""Tables row by row: where rows begin is asked first, then their cells, each of which can only come from its row. Pure.

So no row can borrow from another, a row that is not there cannot be made up, and the count of rows is known before
any is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from app.documents.records import Reading
from app.extraction.answers import leaves_of
from app.extraction.ask import Reply, Turn
from app.extraction.drafts import Draft, drafts_of
from app.extraction.forms import JsonSchema, WindowForms
from app.extraction.ground import Source
from app.extraction.prompt import cells_text as _cells_text
from app.extraction.prompt import document_turn, rows_text
from app.extraction.schema import Field, FieldType
from app.extraction.view import Line, Window

ROWS_TOKENS: Final = 4096
MAX_ROWS: Final = 200
"""Of one window."""
_ROWS_AT_A_TIME: Final = 8
_MAX_ROW_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class Row:
    """The lines of one row; ``place`` is the offset in the document at which it begins."""

    place: int
    lines: tuple[Line, ...]


def rows_turn(window: Window, table: Field, *, first: bool) -> Turn:
    """The question that finds the rows, with the document when that was not shown yet."""
    if not first:
        return Turn("user", rows_text(table))
    turn = document_turn(window, (), whole=True)
    return Turn("user", f"{turn.text}\n{rows_text(table)}")


def rows_form(window: Window) -> JsonSchema:
    """A list of lines of the window."""
    lines = list(dict.fromkeys(line.text for line in window.lines))
    return {"type": "array", "items": {"enum": lines}, "maxItems": min(MAX_ROWS, len(window.lines))}


def starts_of(reply: Reply, window: Window) -> list[int]:
    """The lines that rows begin with, from top to bottom; one that occurs several times is taken once a mention."""
    starts: list[int] = []
    for leaf in leaves_of(reply.text):
        same = [n for n, line in enumerate(window.lines) if line.text == leaf.value and n not in starts]
        after = [n for n in same if not starts or n > starts[-1]]
        if same:
            starts.append((after or same)[0])
    return sorted(starts)


def rows_at(starts: Sequence[int], window: Window) -> list[Row]:
    """The rows that begin there."""
    if not starts:
        return []
    # Rows are about as long as most: what stands below is a total, or the end of a page, more often than a fifth line.
    lengths = sorted(after - before for before, after in pairwise(starts))
    usual = min(lengths[len(lengths) * 4 // 5], _MAX_ROW_LINES) if lengths else 1
    ends = [min(start + usual, after) for start, after in zip(starts, [*starts[1:], len(window.lines)], strict=True)]
    rows = []
    for start, end in zip(starts, ends, strict=True):
        lines = window.lines[start:end]
        rows.append(Row(lines[0].offset(0), tuple(lines)))
    return rows


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Rows that are asked together."""
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        yield rows[start : start + _ROWS_AT_A_TIME]


def cells_text(table: Field, rows: Sequence[Row]) -> str:
    """The question; it names the rows' first lines, so that the order is plain."""
    return _cells_text(table, len(rows)) + "".join(f"\n{n}. {row.lines[0].text}" for n, row in enumerate(rows, 1))


def cells_form(table: Field, rows: Sequence[Row]) -> JsonSchema:
    """One object a row, whose values can only be of that row's lines."""
    items: list[JsonSchema] = []
    defs: dict[str, Any] = {}
    for number, row in enumerate(rows):
        made = WindowForms(row.lines, cells=True).schema(table.fields)
        for name, shared in made.pop("$defs", {}).items():
            defs[f"{name}{number}"] = shared
            made = _renamed(made, f"#/$defs/{name}", f"#/$defs/{name}{number}")
        items.append(made)
    form: JsonSchema = {
        "type": "array",
        "prefixItems": items,
        "items": False,
        "minItems": len(items),
        "maxItems": len(items),
    }
    return {**form, "$defs": defs} if defs else form


def _renamed(part: Any, before: str, after: str) -> Any:
    if isinstance(part, dict):
        return {k: after if k == "$ref" and v == before else _renamed(v, before, after) for k, v in part.items()}
    return [_renamed(one, before, after) for one in part] if isinstance(part, list) else part


def cell_drafts(reply: Reply, table: Field, rows: Sequence[Row], reading: Reading) -> list[Draft]:
    """The cells; the number in their paths is the row's place, by which windows are merged."""
    found: list[Draft] = []
    wrapped = Field("row", FieldType.TABLE, fields=table.fields)
    whole = Source([line for row in rows for line in row.lines])
    for draft in drafts_of(_as_rows(reply), (wrapped,), whole, reading):
        number = int(draft.path.removeprefix("row[").partition("]")[0])
        if number < len(rows):
            column = draft.path.partition(".")[2]
            found.append(_placed(draft, table, column, rows[number], reading))
    return found


def _as_rows(reply: Reply) -> Reply:
    """The same answer as the value of one field."""
    opening = '{"row": '
    tokens = tuple(replace(token, end=token.end + len(opening)) for token in reply.tokens)
    return replace(reply, text=f"{opening}{reply.text}}}", tokens=tokens)


def _placed(draft: Draft, table: Field, column: str, row: Row, reading: Reading) -> Draft:
    """The draft with its place looked for in its own row alone."""
    placed = replace(draft, path=f"{table.name}[{row.place}].{column}")
    if draft.value is None:
        return placed
    inside = Source(row.lines).find(draft.kind, draft.raw)
    raw = " ".join(" ".join(reading.text[a:b].split()) for a, b in inside.spans) or draft.raw
    return replace(placed, raw=raw, grounding=inside.grounding, spans=inside.spans)
