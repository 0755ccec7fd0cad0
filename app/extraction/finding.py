"""Finds what has a form of its own in a text: dates, numbers, money, addresses of mail, account and VAT numbers.

Pure, and rather too much than too little: which of them is meant is the model's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from app.extraction.normalise import CURRENCIES, MONTH_NUMBERS, currency_of, parse_date, parse_number
from app.extraction.schema import FieldType

Span = tuple[int, int]

_MONTH: Final = "(?:" + "|".join(sorted(map(re.escape, MONTH_NUMBERS), key=len, reverse=True)) + r")\.?"
_DATES: Final = re.compile(
    rf"(?<![\d.,/-])(?:"
    rf"\d{{1,4}}\s?(?P<mark>[-/.])\s?\d{{1,2}}\s?(?P=mark)\s?\d{{2,4}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)?(?:\s|-|/|\sof\s|\sday\sof\s)*{_MONTH}(?:\s|-|/|,|\sde\s)*(?:\d{{4}}|'?\d{{2}})"
    rf"|{_MONTH}\s*\d{{1,2}}(?:st|nd|rd|th)?\s?,?\s*\d{{4}}"
    rf"|\d{{4}}[-\s/]{_MONTH}[-\s/]\d{{1,2}}"
    rf"|(?:19|20)\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    rf"|(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])(?:19|20)\d{{2}}"
    rf")(?![\d])(?!-\d)",
    re.IGNORECASE,
)
_SIGN: Final = r"(?:[€£¥₹₩₺]|(?:US|HK|[SAR])?\$|RM|Rp|zł|Kč|(?:" + "|".join(sorted(CURRENCIES)) + r")(?![A-Za-z]))"
_DIGITS: Final = r"\d{1,3}(?:[,.'’ \u00a0\u202f]\d{3})+(?:[.,]\d{1,4})?|\d+(?:[.,]\d+)?"
_NUMBERS: Final = re.compile(rf"(?<![\w.,/])[-−(]?\s?(?:{_SIGN}\s?)?[-−]?(?:{_DIGITS})(?:\s?{_SIGN})?\)?(?![\w/])")
_MONEY_FORM: Final = re.compile(r"(?:^|\D)\d[\d.,'’ ]*[.,]\d{2}\D*$|^\D*\d+[.,]\d\D*$")
_EMAILS: Final = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_IBANS: Final = re.compile(r"\b[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){2,7}(?:\s?[A-Z0-9]{1,3})?\b")
_IDS: Final = re.compile(r"\b[A-Z]{0,4}[ -]?\d(?:[A-Z0-9./-]| (?! )){4,18}[A-Z0-9]\b", re.IGNORECASE)

_LEAST_ID_DIGITS: Final = 7


def find(kind: FieldType, text: str) -> list[Span]:
    """Where values of a type stand in a line of text, from left to right. Types without a form of their own: none."""
    finder = _FINDERS.get(kind)
    return [_trimmed(text, span) for span in finder(text)] if finder is not None else []


_NO_ADDRESS: Final = re.compile(
    r"@|www\.|https?:|\b\d{1,2}:\d\d\b"
    r"|^\W*(?:tel|fax|phone|telephone|telefon|mobile|mobil|handy|hp|h/p|e-?mail|web|gst|vat|ust|mwst|tax|tin|iban|bic"
    r"|roc|reg|co\.?\s?reg|company\s?(?:no|reg)|date|datum|time|invoice|receipt|rechnung)\b",
    re.IGNORECASE,
)
_IDENTIFIER_ONLY: Final = re.compile(r"\W*(?=[\w\s/-]*[-/(]|\()\(?[A-Z]{0,3}\s?\d{4,}[\w/-]*\W*", re.IGNORECASE)


def may_be_address(line: str) -> bool:
    """False for lines that plainly are something else: telephone, web, tax and company numbers, dates, prices."""
    if _NO_ADDRESS.search(line) or _IDENTIFIER_ONLY.fullmatch(line):
        return False
    if find(FieldType.DATE, line):
        return False
    if find(FieldType.AMOUNT, line) and not re.search(r"[^\W\d_]{4,}", line):
        return False
    return any(map(str.isdigit, line)) or bool(re.search(r"[^\W\d_]{3,}", line))


def _is_number(text: str) -> bool:
    return parse_number(text) is not None


def _is_money(text: str) -> bool:
    """With two decimals, or with a currency beside it."""
    if parse_number(text) is None:
        return False
    return bool(_MONEY_FORM.search(text.strip(" )"))) or bool(currency_of(text)) or "$" in text


def _may_be_id(text: str) -> bool:
    """With seven digits at least, and neither a price nor a date."""
    digits = sum(map(str.isdigit, text))
    return digits >= _LEAST_ID_DIGITS and not _MONEY_FORM.search(text) and not _DATES.search(text)


def _blank(found: re.Match[str]) -> str:
    return " " * len(found.group())


def _trimmed(text: str, span: Span) -> Span:
    """Without spaces at the ends, and without a bracket that has no other."""
    start, end = span
    while start < end and (text[start].isspace() or (text[start] == "(" and ")" not in text[start:end])):
        start += 1
    while end > start and (text[end - 1].isspace() or (text[end - 1] == ")" and "(" not in text[start:end])):
        end -= 1
    return start, end


_FINDERS: Final[Mapping[FieldType, Callable[[str], list[Span]]]] = {
    FieldType.DATE: lambda text: [m.span() for m in _DATES.finditer(text) if parse_date(m.group()) is not None],
    FieldType.NUMBER: lambda text: [m.span() for m in _NUMBERS.finditer(text) if _is_number(m.group())],
    FieldType.AMOUNT: lambda text: [m.span() for m in _NUMBERS.finditer(text) if _is_money(m.group())],
    FieldType.EMAIL: lambda text: [m.span() for m in _EMAILS.finditer(text)],
    FieldType.IBAN: lambda text: [m.span() for m in _IBANS.finditer(text)],
    FieldType.VAT_ID: lambda text: [m.span() for m in _IDS.finditer(_IBANS.sub(_blank, text)) if _may_be_id(m.group())],
}
