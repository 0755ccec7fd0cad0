"""Drafts of several windows to one value a field, and which windows to ask first. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.extraction.drafts import Draft, absent
from app.extraction.normalise import fold
from app.extraction.records import Grounding
from app.extraction.schema import Field, FieldType, Schema, leaves
from app.extraction.view import Window

_SETTLED_LOGPROB: Final = math.log(0.9)
_MOST_ALTERNATIVES: Final = 4
_TRUST: Final = {
    Grounding.EXACT: 0.0,
    Grounding.NORMALISED: -0.3,
    Grounding.FUZZY: -1.0,
    Grounding.UNPROVEN: -4.0,
}


@dataclass(frozen=True, slots=True)
class Merged:
    """The draft that was kept, and the other values that there were."""

    draft: Draft
    alternatives: tuple[str, ...] = ()


def order_windows(windows: Sequence[Window], schema: Schema) -> list[Window]:
    """All windows, those with most of the schema's own words first; rare words count more."""
    if len(windows) < 2:
        return list(windows)
    wanted = _words(" ".join(f"{path} {field.label} {field.description}" for path, field in leaves(schema.fields)))
    bags = [_words(window.text) for window in windows]
    spread = Counter(word for bag in bags for word in bag)
    worth = [sum(math.log(1 + len(windows) / spread[word]) for word in bag & wanted) for bag in bags]
    return [
        window for _, window in sorted(zip(worth, windows, strict=True), key=lambda pair: (-pair[0], pair[1].number))
    ]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]{3,}", text.lower()))


def settled(field: Field, drafts: Sequence[Draft]) -> bool:
    """Whether a field needs not be asked of the rest: one value, proven, of which the model was sure."""
    if field.type is FieldType.LIST:
        return False
    paths = {path for path, _ in leaves((field,))}
    sure = {
        draft.path
        for draft in drafts
        if draft.grounding is Grounding.EXACT
        and draft.certainty is not None
        and draft.certainty.logprob > _SETTLED_LOGPROB
    }
    return paths <= sure


def merge(schema: Schema, drafts: Sequence[Draft]) -> list[Merged]:
    """One entry for each single value, list item and cell, in the schema's order; missing fields are absent."""
    found: list[Merged] = []
    for field in schema.fields:
        found += _merged_field(field, field.name, drafts)
    return found


def _merged_field(field: Field, path: str, drafts: Sequence[Draft]) -> list[Merged]:
    if field.type is FieldType.GROUP:
        inner = [one for one in field.fields if one.type is not FieldType.TABLE]
        return [one for child in inner for one in _merged_field(child, f"{path}.{child.name}", drafts)]
    if field.type is FieldType.LIST:
        items = _in_order(_distinct([draft for draft in drafts if _list_of(draft, path) and draft.value]))
        return [Merged(replace(d, path=f"{path}[{n}]")) for n, d in enumerate(items)] or [
            Merged(absent(path, field, None))
        ]
    if field.type is FieldType.TABLE:
        return _merged_rows(path, field, drafts)
    return [_best(path, field, [draft for draft in drafts if draft.path == path])]


def _list_of(draft: Draft, path: str) -> bool:
    return re.sub(r"\[\d+\]$", "", draft.path) == path


def _best(path: str, field: Field, drafts: Sequence[Draft]) -> Merged:
    there = [draft for draft in drafts if draft.value is not None]
    if not there:
        return Merged(drafts[0] if drafts else absent(path, field, None))
    ranked = sorted(there, key=_trust, reverse=True)
    others = dict.fromkeys(draft.raw for draft in ranked[1:] if draft.value != ranked[0].value)
    return Merged(ranked[0], tuple(others)[:_MOST_ALTERNATIVES])


def _trust(draft: Draft) -> float:
    certainty = draft.certainty.logprob if draft.certainty is not None else -1.0
    return certainty + _TRUST.get(draft.grounding, -4.0)


def _distinct(drafts: Sequence[Draft]) -> list[Draft]:
    """Windows overlap: what stands at one place, or says the same without a place, counts once."""
    seen: set[object] = set()
    kept = []
    for draft in drafts:
        key: object = draft.spans or fold(draft.value or "")
        if key not in seen:
            seen.add(key)
            kept.append(draft)
    return kept


def _in_order(drafts: Sequence[Draft]) -> list[Draft]:
    return sorted(drafts, key=lambda draft: draft.spans[0] if draft.spans else (math.inf, 0))


def _merged_rows(path: str, field: Field, drafts: Sequence[Draft]) -> list[Merged]:
    """Rows by where they begin in the document; the number in a draft's path is that place."""
    rows: dict[int, list[Draft]] = {}
    for draft in drafts:
        match = re.match(rf"{re.escape(path)}\[(\d+)\]\.", draft.path)
        if match:
            rows.setdefault(int(match[1]), []).append(draft)
    found: list[Merged] = []
    kept = [cells for _, cells in sorted(rows.items()) if any(cell.value is not None for cell in cells)]
    for number, cells in enumerate(kept):
        for column in field.fields:
            of_column = [cell for cell in cells if cell.path.endswith(f"].{column.name}")]
            best = _best(f"{path}[{number}].{column.name}", column, of_column)
            found.append(replace(best, draft=replace(best.draft, path=f"{path}[{number}].{column.name}")))
    return found
