"""Texts of documents to canonical values, and what counts as the same: numbers, money, dates, identifiers.

Pure. Finding such texts in a document is ``finding``'s, checksums and rules are ``validate``'s.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from app.extraction.schema import FieldType

_MONTHS: Final = (
    ("jan", "january", "januar", "janvier", "enero", "gennaio", "janeiro", "januari", "jänner"),
    ("feb", "february", "februar", "février", "febrero", "febbraio", "fevereiro", "februari"),
    ("mar", "march", "märz", "mars", "marzo", "março", "maart", "mac", "mrz"),
    ("apr", "april", "avril", "abril", "aprile"),
    ("may", "mai", "mayo", "maggio", "maio", "mei"),
    ("jun", "june", "juni", "juin", "junio", "giugno", "junho"),
    ("jul", "july", "juli", "juillet", "julio", "luglio", "julho", "julai"),
    ("aug", "august", "août", "agosto", "augustus", "ogos"),
    ("sep", "sept", "september", "septembre", "septiembre", "settembre", "setembro"),
    ("oct", "october", "oktober", "octobre", "octubre", "ottobre", "outubro", "okt"),
    ("nov", "november", "novembre", "noviembre", "novembro"),
    ("dec", "december", "dezember", "décembre", "diciembre", "dicembre", "dezembro", "dez", "dis", "disember"),
)
MONTH_NUMBERS: Final = {name: number for number, names in enumerate(_MONTHS, 1) for name in names}
_CURRENCY_SIGNS: Final = {
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "₩": "KRW",
    "₺": "TRY",
    "zł": "PLN",
    "kč": "CZK",
    "rm": "MYR",
    "rp": "IDR",
    "us$": "USD",
    "s$": "SGD",
    "a$": "AUD",
    "hk$": "HKD",
    "r$": "BRL",
}
CURRENCIES: Final = frozenset(
    re.findall(
        r"\w+",
        "AED AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KES KRW KWD MAD MXN MYR "
        "NGN NOK NZD PEN PHP PKR PLN QAR RON RSD RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR",
    )
)
_YES: Final = frozenset({"true", "yes", "y", "ja", "oui", "si", "sí", "x", "1"})
_NO: Final = frozenset({"false", "no", "n", "nein", "non", "0"})
_LOOKALIKES: Final = str.maketrans("OQDILSBZG|!", "00011582611")
_CENTURY_PIVOT: Final = 69
"""Two-digit years above it are of the 1900s. Source: POSIX ``strptime``."""


@dataclass(frozen=True, slots=True)
class Canonical:
    """A value as it is stored and compared."""

    value: str
    currency: str = ""


def canonical(kind: FieldType, text: str, choices: tuple[str, ...] = (), *, day_first: bool = True) -> Canonical | None:
    """The canonical form of what a document or a person writes; ``None`` when it is not of the type.

    Numbers become plain decimals, dates ISO 8601, booleans ``true`` or ``false``; texts keep their words, one space
    apart; an address keeps its lines.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    if not text:
        return None
    if kind is FieldType.CHOICE:
        return next((Canonical(choice) for choice in choices if fold(choice) == fold(text)), None)
    if kind is FieldType.DATE:
        date = parse_date(text, day_first=day_first)
        return None if date is None else Canonical(date.isoformat())
    return _READERS.get(kind, _plain_text)(text)


def _number(text: str) -> Canonical | None:
    number = parse_number(text)
    return None if number is None else Canonical(plain_decimal(number))


def _amount(text: str) -> Canonical | None:
    number = parse_number(text)
    return None if number is None else Canonical(plain_decimal(number), currency_of(text))


def _boolean(text: str) -> Canonical | None:
    word = text.casefold()
    return Canonical("true") if word in _YES else Canonical("false") if word in _NO else None


def _email(text: str) -> Canonical | None:
    return Canonical(text.lower()) if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) else None


def _identifier(text: str) -> Canonical | None:
    return Canonical(re.sub(r"[^A-Z0-9]", "", text.upper())) if any(c.isdigit() for c in text) else None


def _lines(text: str) -> Canonical | None:
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return Canonical("\n".join(line for line in lines if line))


def _plain_text(text: str) -> Canonical | None:
    return Canonical(" ".join(text.split()))


_READERS: Final[Mapping[FieldType, Callable[[str], Canonical | None]]] = {
    FieldType.NUMBER: _number,
    FieldType.AMOUNT: _amount,
    FieldType.BOOLEAN: _boolean,
    FieldType.EMAIL: _email,
    FieldType.IBAN: _identifier,
    FieldType.VAT_ID: _identifier,
    FieldType.ADDRESS: _lines,
}


def parse_number(text: str) -> Decimal | None:
    """The one number in a text, in whichever of the usual notations; ``None`` when there is none or several.

    A single separator followed by exactly three digits groups thousands, unless it is a point after a zero.
    """
    found = re.findall(r"\d[\d.,'’\u00a0\u202f ]*\d|\d", text)
    if len(found) != 1:
        return None
    digits = re.sub(r"['’\u00a0\u202f ]", "", found[0])
    negative = bool(re.search(r"[-−–]\s*[^\d\s]{0,3}\s*\d", text) or re.search(r"\d\s*-\s*$", text))
    negative = negative or bool(re.search(r"\(\s*[^\d\s]{0,3}\s*\d[^()]*\)", text))
    try:
        number = Decimal(_pointed(digits))
    except InvalidOperation:
        return None
    return -number if negative else number


def _pointed(digits: str) -> str:
    """With a point before the decimals and no other separator."""
    last = max(digits.rfind("."), digits.rfind(","))
    if last < 0:
        return digits
    mark, other = digits[last], "," if digits[last] == "." else "."
    whole, decimals = digits[:last], digits[last + 1 :]
    grouped = len(decimals) == 3 and other not in whole and (mark in whole or 1 <= len(whole) <= 3)
    if (grouped and whole not in ("0", "")) or mark in whole:
        return re.sub(r"[.,]", "", digits)
    return f"{re.sub(r'[.,]', '', whole) or '0'}.{decimals}"


def plain_decimal(number: Decimal) -> str:
    """Without exponent; decimals stay as they were written."""
    return f"{number:f}"


def currency_of(text: str) -> str:
    """The ISO code of a currency that is named beside a number, or empty. A bare ``$`` stays unnamed."""
    for match in re.finditer(r"[A-Za-z]{3}(?![A-Za-z])", text):
        if match.group().upper() in CURRENCIES:
            return match.group().upper()
    rest = re.sub(r"[\d\s.,'’()+−-]", "", text).casefold()
    return next((code for sign, code in _CURRENCY_SIGNS.items() if sign in rest), "")


def parse_date(text: str, *, day_first: bool = True) -> datetime.date | None:
    """A calendar date in one of the usual notations; ``day_first`` decides where both readings are possible."""
    lowered = text.casefold().strip(" .,:()[]")
    named = _named_date(lowered)
    if named is not None:
        return named
    parts = re.fullmatch(r"(\d{1,4})\s*([-/.])\s*(\d{1,2})\s*\2\s*(\d{1,4})\.?", lowered)
    if parts:
        return _numeric_date(parts[1], parts[3], parts[4], day_first)
    if re.fullmatch(r"\d{8}", lowered):
        return _date(lowered[:4], lowered[4:6], lowered[6:]) or _date(lowered[4:], lowered[2:4], lowered[:2])
    return _foreign_date(text) if re.search(r"[^\W\d_]", lowered) and re.search(r"\d{4}|\d{1,2}", lowered) else None


def _named_date(text: str) -> datetime.date | None:
    words = [word for word in re.split(r"[\s\-/.,]+|(?<=\d)(?=[^\W\d])|(?<=[^\W\d])(?=\d)", text) if word]
    words = [word for word in words if word not in ("st", "nd", "rd", "th", "of", "de", "the", "day", "del", "er")]
    months = [MONTH_NUMBERS[word] for word in words if word in MONTH_NUMBERS]
    numbers = [word for word in words if word.isdigit()]
    if len(months) != 1 or len(numbers) != 2 or len(words) != 3:
        return None
    first, second = numbers
    if len(first) == 4:
        return _date(first, str(months[0]), second)
    return _date(second, str(months[0]), first)


def _numeric_date(one: str, two: str, three: str, day_first: bool) -> datetime.date | None:
    if len(one) >= 3:
        return _date(one, two, three)
    if len(three) == 3:
        return None
    orders = ((one, two), (two, one)) if day_first else ((two, one), (one, two))
    for day, month in orders:
        found = _date(three, month, day)
        if found is not None:
            return found
    return _date(one, two, three) if len(three) <= 2 else None


def _date(year: str, month: str, day: str) -> datetime.date | None:
    number = int(year)
    if len(year) <= 2:
        number += 1900 if number >= _CENTURY_PIVOT else 2000
    try:
        found = datetime.date(number, int(month), int(day))
    except ValueError:
        return None
    return found if 1800 <= found.year <= 2200 else None


def _foreign_date(text: str) -> datetime.date | None:
    """In a language that the table of months does not have."""
    if len(text) > 40:
        return None
    import dateparser  # type: ignore[import-untyped]

    settings = {"STRICT_PARSING": True, "PREFER_LOCALE_DATE_ORDER": True, "DATE_ORDER": "DMY"}
    found = dateparser.parse(text, settings=settings)
    return found.date() if isinstance(found, datetime.datetime) else None


def fold(text: str) -> str:
    """Letters and digits alone, without case and accents: what is left when writing does not matter."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in decomposed if c.isalnum())


def fold_lookalikes(text: str) -> str:
    """``fold``, with characters that scans confuse made one: O and 0, l and 1, S and 5, B and 8."""
    return fold(text).upper().translate(_LOOKALIKES)


def same_value(kind: FieldType, one: str, other: str, choices: tuple[str, ...] = ()) -> bool:
    """Whether two texts say the same for a type; texts are compared without case, spaces and punctuation."""
    left, right = canonical(kind, one, choices), canonical(kind, other, choices)
    if left is None or right is None:
        return False
    if kind in (FieldType.NUMBER, FieldType.AMOUNT):
        return Decimal(left.value) == Decimal(right.value)
    return fold(left.value) == fold(right.value)
