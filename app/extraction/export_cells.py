"""What a value looks like in a cell of any format: its place, its proof, rows of tables, lists as one."""

from __future__ import annotations

import re
from typing import Final

from app.extraction.exported import ExportedValue

_ROW: Final = re.compile(r"(.+)\[(\d+)\]\.(.+)")
_ITEM: Final = re.compile(r"(.+)\[(\d+)\]")


def box_text(value: ExportedValue) -> str:
    """The first place's edges in points."""
    place = next((place for place in value.evidence if place.box is not None), None)
    if place is None or place.box is None:
        return ""
    return f"{place.box.x0:.1f} {place.box.y0:.1f} {place.box.x1:.1f} {place.box.y1:.1f}"


def evidence_text(value: ExportedValue) -> str:
    """What stands in the document."""
    return " / ".join(place.text for place in value.evidence)


def rows_of(values: tuple[ExportedValue, ...], table: str) -> list[tuple[int, dict[str, ExportedValue]]]:
    """A table's rows by their numbers, each by column; rows that a person took out are left out."""
    rows: dict[int, dict[str, ExportedValue]] = {}
    for value in values:
        place = _ROW.fullmatch(value.name)
        if place is not None and place[1] == table:
            rows.setdefault(int(place[2]), {})[place[3]] = value
    return sorted(
        (number, row) for number, row in rows.items() if any(value.value is not None for value in row.values())
    )


def joined_lists(values: tuple[ExportedValue, ...]) -> dict[str, ExportedValue]:
    """Single values by name; the items of a list as one, as sure as the least certain of them."""
    found: dict[str, ExportedValue] = {}
    items: dict[str, list[ExportedValue]] = {}
    for value in values:
        place = _ITEM.fullmatch(value.name)
        if place is None:
            found[value.name] = value
        elif value.value is not None:
            items.setdefault(place[1], []).append(value)
    for name, parts in items.items():
        worst = min(parts, key=lambda part: part.confidence)
        found[name] = ExportedValue(
            name,
            worst.type,
            "; ".join(part.value or "" for part in parts),
            "; ".join(part.raw for part in parts),
            worst.confidence,
            worst.grounding,
            tuple(place for part in parts for place in part.evidence),
            worst.currency,
            worst.review,
        )
    return found
