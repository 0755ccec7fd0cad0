"""Names of firms as they stand at the top of a document: lines that end in a legal form, with what belongs to them.

Where there is such a line, a field for the firm that wrote the document is offered only those, as a total is offered
only what has its words before it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_LEGAL_FORM: Final = (
    r"\b(?:sdn\.?\s*b[hn]d|bhd|s/b|pte|ltd|limited|llc|llp|plc|inc|gmbh|kg|s\.?a\.?r\.?l|s\.?r\.?l|b\.?v)\b"
)
FIRM: Final = re.compile(_LEGAL_FORM + r"[\s.,]*(?:\(?[\w\s./:-]{0,24}\)?)?$", re.IGNORECASE)
"""A line that ends as names of firms do, a number of registration behind it."""
FIRM_WORDS: Final = frozenset(
    {"company", "seller", "vendor", "supplier", "merchant", "shop", "store", "firm", "issuer"}
)
"""Words in the name of a field that is filled with the firm that wrote the document."""
SENDER: Final = re.compile(rf"^(.*?{_LEGAL_FORM}\.?)\s*[,·|•]\s+", re.IGNORECASE)
"""The name at the beginning of a line with the whole address behind it, as above the window of an envelope."""
_REGISTRATION: Final = re.compile(r"\s*\(?[\w.\s:-]*\d{4,}[\w -]{0,4}\)?\W*$")
_GOES_ON: Final = re.compile(r"^\W*(?:co\b\.?|&|and\b|\(\w{1,3}\)|\s)*\W*$", re.IGNORECASE)
_ANOTHER: Final = re.compile(
    r"\b(?:owned|managed|operated) by\b|\bformerly\b|\blicensee\b|\b(?:bill|sold|ship) to\b|\bcustomer\b", re.IGNORECASE
)
"""Before the name of a firm that is not the one that wrote the document."""
_TOP_LINES: Final = 10
_MOST_CHARS: Final = 100
_SHORT_CHARS: Final = 8


def firm_names(lines: Sequence[str]) -> list[str]:
    """From the top down, each as it stands but for the number of registration; over two lines where it began above."""
    found: dict[str, None] = {}
    top = lines[:_TOP_LINES]
    for number, line in enumerate(top):
        column = _first_firm_column(line)
        firm = FIRM.search(column)
        above = top[number - 1] if number else ""
        if firm is None or _ANOTHER.search(column) or _ANOTHER.search(above):
            continue
        name = _REGISTRATION.sub("", column).strip(" ,;") if re.search(r"\d{4}", column[firm.start() :]) else column
        may_go_on = bool(above) and not re.search(r"\d{3}|:", above) and FIRM.search(above) is None
        own = column[: firm.start()]
        if may_go_on and (len(own.split()) <= 1 or _GOES_ON.match(own)) and len(above) + len(name) < _MOST_CHARS:
            found[f"{above} {name}"] = None
        if not (may_go_on and _GOES_ON.match(own)):
            found[name] = None
    return [name for name in found if name]


def _first_firm_column(line: str) -> str:
    """The part between wide gaps that names a firm; the whole line when none does, or the gaps are within the name."""
    sender = SENDER.match(line)
    if sender:
        return sender[1]
    columns = re.split(r"\s{2,}", line)
    return next((column for column in columns if FIRM.search(column) and len(column) > _SHORT_CHARS), line)
