"""Addresses as they stand on a page: runs of lines, one below the other, from where one begins to where it ends.

Only the first line and the last one are then to be chosen; what lies between is forced. Lines that plainly are
something else (the name of a firm, telephone, tax number, date, price) end a run or are stepped over. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from app.extraction.finding import may_be_address
from app.extraction.firms import FIRM, SENDER
from app.extraction.normalise import fold

MAX_ADDRESS_LINES: Final = 8
_MAX_FORM_CHARS: Final = 40_000
_MAX_SKIPPED_LINES: Final = 2
_HEAD_GAPS: Final = 2
_CONTACT: Final = re.compile(
    r"[\s,(;/|-]*\b(?:tel|fax|phone|telephone|telefon|mobile|mobil|hotline|h/?p|e-?mail|website|www|gst|vat|ust|tax|"
    r"co\W{0,3}(?:no|reg)|reg)\b(?:\s*(?:no|id|reg)\b)?\s*[.:#(/+-]?.*$",
    re.IGNORECASE,
)
_TO: Final = re.compile(
    r"(?:bill|billed|ship|sold|deliver(?:ed)?|invoice)\s+to\W*|to\W*|attn\W*|customer\W*", re.IGNORECASE
)
_LABEL: Final = re.compile(r"^[^:]{0,30}:\s+(?=\S)")
_POSTCODE: Final = re.compile(r"\b\d{5}\b")
_PRICED: Final = re.compile(r"(?:\s{2,}|:\s*)\W*[^\W\d_]{0,3}\s?\d[\d.,]*[.,]\d{2}(?!\d)")
_NUMBER_ALONE: Final = re.compile(r"[\W\d_]{8,}|\W*\d[\W\d]{6,}\(.*")


def line_forms(line: str) -> list[str]:
    """The parts of a line that may be a line of an address, the longest first; none for most lines."""
    contact = _CONTACT.search(line)
    if (
        FIRM.search(line)
        or (contact and not contact.start())
        or _PRICED.search(line)
        or _is_head(line)
        or _TO.fullmatch(line)
    ):
        return []
    found: dict[str, None] = {}
    for start in _starts(line):
        tail = line[start:]
        contact = _CONTACT.search(tail)
        whole = tail[: contact.start()] if contact and contact.start() else tail
        for end in _ends(whole):
            part = whole[:end].rstrip(" (;|/")
            if part and _is_part(part) and (not start or re.search(r"[^\W\d_]{2}", part)):
                found[part] = None
    return sorted(found, key=len, reverse=True)


def _starts(line: str) -> Iterator[int]:
    """At the beginning, behind a label, behind a gap."""
    sender = SENDER.match(line)
    yield sender.end() if sender else 0
    label = _LABEL.match(line)
    if label:
        yield label.end()
    yield from (gap.end() for gap in re.finditer(r"\s{2,}", line))


def _ends(text: str) -> Iterator[int]:
    """At the end and before each gap, up to the column that is no address any more."""
    start = 0
    for gap in (*re.finditer(r"\s{2,}", text), None):
        end = gap.start() if gap is not None else len(text)
        if start and not _is_part(text[start:end]):
            return
        yield end
        start = gap.end() if gap is not None else end


def _is_head(line: str) -> bool:
    """Of a table: several columns, none with a number."""
    return len(re.findall(r"\s{2,}", line)) >= _HEAD_GAPS and not any(map(str.isdigit, line))


def _is_part(text: str) -> bool:
    return may_be_address(text) and not _NUMBER_ALONE.fullmatch(text) and not FIRM.search(text)


def block_of(lines: Sequence[str], address: str) -> list[str]:
    """The run of lines that says an address, whatever its spaces and marks; empty when none does."""
    wanted = fold(address)
    forms = [line_forms(line) for line in lines]
    for first, parts in enumerate(forms):
        found = _spelling([parts, *_following(forms, first)], wanted) if parts and wanted else None
        if found:
            return found
    return []


def _spelling(run: Sequence[list[str]], wanted: str) -> list[str] | None:
    """The beginning of a run that spells a folded text."""
    if not wanted:
        return []
    for part in run[0] if run else ():
        folded = fold(part)
        if folded and wanted.startswith(folded):
            rest = _spelling(run[1:], wanted[len(folded) :])
            if rest is not None:
                return [part, *rest]
    return None


def block_form(lines: Sequence[str]) -> dict[str, Any] | None:
    """A JSON schema for runs of lines; ``None`` when none may be an address, or when it would be too long."""
    forms = [line_forms(line) for line in lines]
    runs: list[dict[str, Any]] = []
    size = 0
    for first, parts in enumerate(forms):
        if not _may_begin(forms, first):
            continue
        run = [parts, *_following(forms, first)]
        size += sum(len(part) + 4 for choices in run for part in choices)
        if size > _MAX_FORM_CHARS:
            return None
        items = [{"enum": choices} for choices in run]
        runs.append({"type": "array", "prefixItems": items, "items": False, "minItems": 1})
    return {"anyOf": runs} if runs else None


def _may_begin(forms: Sequence[list[str]], number: int) -> bool:
    """The first of several such lines, or one with a number: a town's name goes on, it does not begin."""
    parts = forms[number]
    if not parts:
        return False
    above = forms[number - 1] if number else []
    below = forms[number + 1] if number + 1 < len(forms) else []
    after_another = above and below and _POSTCODE.search(above[0]) and re.search(r"\d", below[0]) and " " in parts[0]
    return not above or bool(re.search(r"\d", parts[0]) or after_another)


def _following(forms: Sequence[list[str]], first: int) -> Iterator[list[str]]:
    """The lines that go on from the first one."""
    count, skipped = 1, 0
    for parts in forms[first + 1 :]:
        if count == MAX_ADDRESS_LINES or skipped > _MAX_SKIPPED_LINES:
            return
        if parts:
            count, skipped = count + 1, 0
            yield parts
        else:
            skipped += 1
