"""Numbers that say themselves that they are meant: IBANs, cards, tax, health and identity numbers with check digits.

For the scanner's child. The check digits are python-stdnum's; which text may be such a number at all is decided here.
A number whose check a stranger's number passes by chance now and then also needs a word beside it that names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Final

from stdnum import iban, luhn

from app.gate.records import Finding

CHECKSUM: Final = "checksum"
_NEAR_CHARS: Final = 48
_GROUPED: Final = r"[ \u00a0.\-/]?"


@dataclass(frozen=True, slots=True)
class _Number:
    """A kind of number: its form, its check in ``stdnum``, and the words that name it where the check alone is weak."""

    module: str
    kind: str
    form: str
    words: str = ""
    """Alternatives of a regular expression; empty: form and check are telling enough."""


def _digits(*groups: int) -> str:
    """Digits in these groups, with or without one sign between them."""
    return _GROUPED.join(rf"\d{{{count}}}" for count in groups)


_TAX_WORDS: Final = "tax|steuer|fiscal|fiscaal|tin|vat|ust|iva|id[- ]?n"
_NUMBERS: Final = (
    # Letters and digits, or a form of their own.
    _Number("es.nif", "TAX", r"[A-Z0-9]\d{7}-?[A-Z0-9]"),
    _Number("es.nie", "ID", r"[XYZ]-?\d{7}-?[A-Z]"),
    _Number("es.dni", "ID", r"\d{8}-?[A-Z]"),
    _Number("it.codicefiscale", "TAX", r"[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z]"),
    _Number("fi.hetu", "ID", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]"),
    _Number("se.personnummer", "ID", r"(?:\d{2})?\d{6}[-+]\d{4}"),
    _Number("dk.cpr", "ID", r"\d{6}-\d{4}"),
    _Number("cz.rc", "ID", r"\d{6}/\d{3,4}"),
    _Number("lt.asmens", "ID", r"[3-6]\d{10}", "asmens|isikukood|personal|identi|id[- ]?n|code"),
    _Number("ee.ik", "ID", r"[1-8]\d{10}", "isikukood|personal|identi|id[- ]?n|code"),
    _Number("mx.curp", "ID", r"[A-Z]{4}\d{6}[A-Z]{6}[A-Z0-9]\d"),
    _Number("in_.pan", "TAX", r"[A-Z]{3}[PCHFATBLJGE][A-Z]\d{4}[A-Z]", "pan|tax|income"),
    _Number("ie.pps", "TAX", r"\d{7}[A-W][A-IW]?", "pps|ppsn|tax|welfare|number"),
    _Number("cn.ric", "ID", r"\d{17}[0-9X]"),
    _Number("ch.ssn", "HEALTH", r"756\.?\d{4}\.?\d{4}\.?\d{2}"),
    _Number("br.cpf", "TAX", r"\d{3}\.\d{3}\.\d{3}-\d{2}"),
    _Number("br.cpf", "TAX", r"\d{11}", "cpf"),
    _Number("br.cnpj", "TAX", r"\d{2}\.?\d{3}\.?\d{3}/?\d{4}-?\d{2}"),
    _Number("cl.rut", "TAX", r"\d{1,2}\.?\d{3}\.?\d{3}-[0-9K]"),
    _Number("ar.cuit", "TAX", r"(?:20|23|24|27|30|33|34)-\d{8}-\d"),
    _Number("kr.rrn", "ID", r"\d{6}-[1-8]\d{6}"),
    _Number("us.ssn", "TAX", r"\d{3}-\d{2}-\d{4}"),
    _Number("us.ssn", "TAX", r"\d{3}[ ]?\d{2}[ ]?\d{4}", "ssn|social security"),
    _Number("us.itin", "TAX", r"9\d{2}-\d{2}-\d{4}"),
    _Number("us.ein", "TAX", r"\d{2}-\d{7}", "ein|employer|tax|irs"),
    _Number(
        "eu.vat",
        "TAX",
        r"(?:AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK)[ ]?[A-Z0-9]{8,12}",
    ),
    _Number("gb.vat", "TAX", r"GB[ ]?(?:\d{9}|\d{12}|\d{3}[ ]\d{4}[ ]\d{2})"),
    _Number(
        "fr.nir",
        "HEALTH",
        _GROUPED.join(("[12]", r"\d{2}", r"\d{2}", r"\d[0-9AB]", r"\d{3}", r"\d{3}", r"\d{2}")),
    ),
    _Number("be.nn", "ID", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}"),
    # Two check digits, or a date within: a stranger passes once in a hundred times or less.
    _Number("pl.pesel", "ID", _digits(11), "pesel"),
    _Number("ro.cnp", "ID", _digits(13), "cnp|personal"),
    _Number("bg.egn", "ID", _digits(10), "egn|егн|единен"),
    _Number("hr.oib", "TAX", _digits(11), "oib|tax|porez"),
    _Number("si.emso", "ID", _digits(13), "emšo|emso|jmbg"),
    _Number("no.fodselsnummer", "ID", _digits(6, 5), "fødsel|fodsel|personnummer|birth number|national|identi"),
    _Number("de.idnr", "TAX", _digits(2, 3, 3, 3), "steuer|tax|idnr|identifikation|tin"),
    _Number("tr.tckimlik", "ID", _digits(11), "kimlik|tc|t\\.c|turkish|identi"),
    _Number("in_.aadhaar", "ID", _digits(4, 4, 4), "aadhaar|aadhar|uidai|uid"),
    _Number("in_.aadhaar", "ID", r"\d{4} \d{4} \d{4}"),
    _Number("za.idnr", "ID", _digits(13), "id|identity|south africa"),
    _Number("gb.nhs", "HEALTH", _digits(3, 3, 4), "nhs|health|patient"),
    _Number("gb.nhs", "HEALTH", r"\d{3} \d{3} \d{4}", "nhs|health|patient|medical"),
    _Number("gb.utr", "TAX", r"\d{10}K?", "utr|tax"),
    _Number("gr.amka", "HEALTH", _digits(11), "amka|αμκα"),
    _Number("fr.nif", "TAX", _digits(2, 2, 3, 3, 3), f"spi|{_TAX_WORDS}"),
    _Number("is_.kennitala", "ID", r"\d{6}-?\d{4}", "kennitala|kt|icelandic"),
    _Number("th.pin", "ID", r"\d-?\d{4}-?\d{5}-?\d{2}-?\d", "thai|id|identi|ประชาชน"),
    # One check digit: a stranger passes once in ten times.
    _Number("nl.bsn", "TAX", _digits(4, 2, 3), "bsn|burgerservice|sofi"),
    _Number("at.vnr", "HEALTH", r"\d{4} ?\d{6}", "svnr|sozialversicherung|versicherungsnummer|insurance|e-card"),
    _Number("at.tin", "TAX", r"\d{2}-?\d{3}/?\d{4}", "steuernummer|abgabenkonto|tax"),
    _Number("ca.sin", "TAX", _digits(3, 3, 3), "sin|social insurance|nas"),
    _Number("au.tfn", "TAX", _digits(3, 3, 3), "tfn|tax file"),
    _Number("au.abn", "TAX", _digits(2, 3, 3, 3), "abn|business number"),
    _Number("pt.nif", "TAX", _digits(3, 3, 3), "nif|contribuinte|tax|fiscal"),
    _Number("pl.nip", "TAX", r"(?:PL)?[ ]?\d{3}-?\d{3}-?\d{2}-?\d{2}", "nip|tax|podatk"),
    _Number("nz.ird", "TAX", r"\d{2,3}-?\d{3}-?\d{3}", "ird|tax"),
    _Number("il.idnr", "ID", _digits(9), "teudat|zehut|israel|identi"),
    _Number("ru.inn", "TAX", r"\d{10}(?:\d\d)?", "инн|inn"),
    _Number("jp.in_", "ID", _digits(4, 4, 4), "my number|マイナンバー|個人番号"),
    _Number("us.rtn", "ACCOUNT", _digits(9), "routing|aba|rtn"),
    _Number("imei", "ID", r"\d{2}-?\d{6}-?\d{6}-?\d", "imei"),
)

_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,30}")
_IBAN_END: Final = re.compile(r"(?=[ \u00a0-]|\Z)")
_CARD: Final = re.compile(r"(?<![\w.])\d(?:[ \u00a0.-]?\d){11,18}(?![\w-])(?!\.\d)")
_ISSUED: Final = re.compile(r"3(?:0[0-5]|[689]|[47]|5)|4|5|6|2(?:131|2[2-9]|[3-6]|7[01]|720)|1800|62|81|9792")
"""How the numbers of payment cards begin."""


def find(text: str) -> Iterator[Finding]:
    """All numbers in ``text`` whose check digits are right. Offsets are into ``text``; kinds may overlap."""
    yield from _ibans(text)
    yield from _cards(text)
    for number, form, word in _compiled():
        for match in form.finditer(text):
            if word is not None and not word.search(text[max(match.start() - _NEAR_CHARS, 0) : match.end() + 24]):
                continue
            if _is_valid(number.module, match[0]):
                yield Finding(number.kind, match.start(), match.end(), match[0], CHECKSUM, 1.0)


@cache
def _compiled() -> tuple[tuple[_Number, re.Pattern[str], re.Pattern[str] | None], ...]:
    return tuple(
        (
            number,
            re.compile(rf"(?<![\w.+])(?:{number.form})(?![\w])(?![.,-]\d)", re.IGNORECASE),
            re.compile(rf"(?<![^\W\d_])(?:{number.words})", re.IGNORECASE) if number.words else None,
        )
        for number in _NUMBERS
    )


@cache
def _check(module: str) -> Callable[[str], bool]:
    check: Callable[[str], bool] = import_module(f"stdnum.{module}").is_valid
    return check


def _is_valid(module: str, text: str) -> bool:
    return len(set(re.sub(r"\D", "", text))) > 1 and _check(module)(text.replace("\u00a0", " ").upper())


def _ibans(text: str) -> Iterator[Finding]:
    """The longest valid number at each place: words that follow look like groups of one."""
    for match in _IBAN.finditer(text):
        ends = [end.start() for end in _IBAN_END.finditer(match[0]) if end.start() >= 15]
        for end in reversed(ends):
            if iban.is_valid(match[0][:end].replace("\u00a0", " "), check_country=False):
                yield Finding("IBAN", match.start(), match.start() + end, match[0][:end], CHECKSUM, 1.0)
                break


def _cards(text: str) -> Iterator[Finding]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _ISSUED.match(digits) and luhn.is_valid(digits) and len(set(digits)) > 1:
            yield Finding("CARD", match.start(), match.end(), match[0], CHECKSUM, 1.0)
