"""What form alone gives away: e-mail and web addresses, telephones, IPs, keys and tokens, dates, streets, postcodes.

For the scanner's child. Forms that ordinary text has as well need a word beside them that names them.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import phonenumbers

from app.gate.records import Finding

PATTERN: Final = "pattern"


@dataclass(frozen=True, slots=True)
class _Form:
    """A form; where it has a group, that group is what is found."""

    kind: str
    expression: str
    score: float = 0.9
    exact_case: bool = False


_EMAIL: Final = r"(?<![\w.+%-])[\w.+%'-]{1,64}@(?:[^\W_](?:[\w-]{0,62})\.){1,8}[^\W\d_]{2,24}(?![\w-])"
_URL: Final = (
    r"\b(?:https?|ftp|wss?|ssh|git)://[^\s<>\"'`\\)\]}]+(?<![.,;:!?])|\bwww\.[\w-]+(?:\.[\w-]+)+(?:/[^\s<>\"']*)?"
)

_PEM_KEY: Final = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
_PEM: Final = rf"-----BEGIN {_PEM_KEY}[\s\S]+?(?:-----END {_PEM_KEY}|\Z)"
_VENDORS: Final = (
    r"sk-(?:proj-|ant-|or-|svcacct-)?[\w-]{20,}",
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_\w{30,}",
    r"glpat-[\w-]{20,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}",
    r"AIza[\w-]{35}",
    r"ya29\.[\w-]{20,}",
    r"xox[abeoprs]-[\w-]{10,}",
    r"xapp-\d-[\w-]{10,}",
    r"https://hooks\.slack\.com/services/[\w/]{20,}",
    r"SG\.[\w-]{16,}\.[\w-]{16,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[\w-]{30,}",
    r"dop_v1_[a-f0-9]{40,}",
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    r"sq0(?:atp|csp)-[\w-]{20,}",
    r"(?:AC|SK)[a-f0-9]{32}",
    r"key-[a-f0-9]{32}",
    r"gsk_[A-Za-z0-9]{30,}",
    r"xai-[A-Za-z0-9]{30,}",
    r"r8_[A-Za-z0-9]{30,}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{50,}",
    r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*",
    r"[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}",
)
_ASSIGNED: Final = re.compile(
    r"(?:pass(?:word|wd|phrase|wort)?|pwd|kennwort|secret|token|api[_ -]?key|access[_ -]?key|private[_ -]?key|auth"
    r"|bearer|credential)s?[\"']?\s*(?:[:=]|\bis\b)\s*[\"'`]?(?P<value>[^\s\"'`,;<>]{8,200})",
    re.IGNORECASE,
)
_IN_ADDRESS: Final = re.compile(r"://[^\s/:@]{1,64}:(?P<value>[^\s/@]{3,128})@")
_DENSE: Final = re.compile(r"(?<![\w+/=.-])[A-Za-z0-9+/_-]{24,200}={0,2}(?![\w+/=-])")
_MIN_BITS: Final = 3.6
"""Of entropy a character; words joined by signs stay below."""

_MONTH: Final = (
    "jan(?:uary|uar|vier)?|feb(?:ruary|ruar)?|f[ée]vrier|mar(?:ch|s)?|märz|apr(?:il)?|ma[yi]|jun[ei]?|jul[yi]?"
    "|aug(?:ust)?|sep(?:t(?:ember)?)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?"
)
_YEAR: Final = r"(?:1[89]\d\d|20\d\d)"
_CLOCK: Final = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_DATES: Final = (
    rf"(?<![\d-]){_YEAR}-\d{{2}}-\d{{2}}{_CLOCK}(?![\d-])",
    rf"(?<![\d/.-])\d{{1,2}}(?P<s>[/.-])\d{{1,2}}(?P=s){_YEAR}{_CLOCK}(?![\d/-])",
    rf"\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:of\s+)?(?:{_MONTH})\.?,?\s+{_YEAR}\b",
    rf"\b(?:{_MONTH})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+{_YEAR}\b",
)
_AGES: Final = (
    r"\b(\d{1,3})[ -](?:years?|yrs?)[ -]old\b",
    r"\b(\d{1,3}) years of age\b",
    r"\b(?:aged?|age of|age:|age is)\s+(\d{1,3})\b(?! ?(?:%|[-–]|to\b|years?\b))",
    r"\b(\d{1,3})(?: Jahre alt\b|[- ]?jährige[mnrs]?\b)",
    r"\bâgée? de (\d{1,3}) ans\b",
    r"\bde (\d{1,3}) años\b",
)

_NAME: Final = r"[^\W\d_][\w.'’-]{0,40}"
_HOUSE: Final = r"\d{1,5}(?:\s?[a-zA-Z](?![\w]))?"
_STREET_WORD: Final = (
    "street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|ct|square|squares|sq|terrace|crescent|close|way"
    "|highway|hwy|parkway|pkwy|place|pl|row|walk|mews|trail|circle|cir|alley|utca|út|útja|tér|u|tn|tee|mnt|pst|plein"
)
_STREET_END: Final = (
    "straße|strasse|straat|str\\.|gasse|weg|platz|allee|damm|ufer|gade|gata|gatan|gate|vej|veien|vegen|vägen|väg|stræde"
    "|katu|tie|polku|kuja|tänav|laan|plein|steeg|singel|kade|dreef|hof|stræti|gatu|vegur|braut|toftin|gøta|backen|gränd"
)
_STREET_BEGIN: Final = (
    "rua|avenida|av\\.?|travessa|calle|c/|carrera|paseo|plaza|via|viale|corso|piazza|largo|rue|avenue|boulevard|chemin"
    "|route|quai|place|ulica|ul\\.|ulice|aleja|al\\.|plac|náměstí|strada|str\\.|bulevardul|улица|ул\\.|rúa"
)
_BOXED: Final = r"(?:apt|apartment|suite|ste|unit|flat|floor|room|bldg|building)\.?\s*#?\s?\d{1,5}[a-z]?\b"
_STREET_LAST: Final = "utca|útj?a?|tér|u\\.|tn\\.?|tee|mnt|pst|plein|vei|väg|vej"
_CONTEXT_POSTCODE: Final = (
    r"(?:zip(?:\s?code)?|post(?:al)?\s?code|postcode|plz|postleitzahl|cap|cep|code postal)\b\s*(?:is|:|=)?\s*"
)

_FORMS: Final = (
    _Form("EMAIL", _EMAIL, 1.0),
    _Form("URL", _URL, 0.8),
    _Form("KEY", _PEM, 1.0, exact_case=True),
    _Form("KEY", r"(?<![\w/+-])(?:" + "|".join(_VENDORS) + r")(?![\w-])", 1.0, exact_case=True),
    *(_Form("DATE", expression, 0.6) for expression in _DATES),
    *(_Form("AGE", expression, 0.6) for expression in _AGES),
    _Form("ID", r"(?<![\w:-])(?:[0-9A-F]{2}[:-]){5}[0-9A-F]{2}(?![\w:-])", 0.7),
    _Form(
        "ID",
        r"\b(?:driver'?s?|driving)\s+licen[cs]e(?:\s+(?:number|no\.?|nr\.?|#))?(?:\s+is|:)?\s+([A-Z0-9](?:[A-Z0-9]|-(?=[A-Z0-9])){4,19})\b",
        0.7,
    ),
    _Form(
        "ID",
        r"\b(?:passport|pass|reisepass|pasaporte|passeport)(?:\s*(?:number|no\.?|nr\.?|nummer|#))?(?:\s+is|:)?\s+((?=[A-Z0-9]*\d{3})[A-Z0-9]{6,10})\b",
        0.7,
    ),
    _Form(
        "TAX",
        r"\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b",
        0.8,
        exact_case=True,
    ),
    _Form(
        "ACCOUNT",
        r"\b(?:account|konto(?:nummer)?|sort code)(?:\s*(?:number|n[or]\.?|#))?(?:\s+is|:)?\s+(\d[\d -]{4,18}\d)\b",
        0.6,
    ),
    _Form("ADDRESS", rf"\b{_BOXED}", 0.7),
    _Form("ADDRESS", r"\bP\.?\s?O\.?\s?Box\s+\d{1,6}\b", 0.9),
    _Form(
        "ADDRESS",
        r"\b(?:PSC|Unit|CMR)\s+\d{1,5},?\s+Box\s+\d{1,5}\b(?:\s+[AFD]PO\s+A[AEP]\s+\d{5})?|\b(?:USNS|USS|USCGC|USNV)\s+\w+\s+FPO\s+A[AEP]\s+\d{5}\b",
        0.9,
    ),
    _Form("ADDRESS", rf"\b{_HOUSE},?\s+(?:{_NAME}[ ]){{1,4}}(?:{_STREET_WORD})\b\.?(?:\s+\d{{1,4}}\b\.?)?", 0.7),
    _Form(
        "ADDRESS",
        rf"\b(?:{_HOUSE}\s+)?(?:{_NAME}[ ]){{0,2}}[^\W\d_][\w-]{{0,40}}(?:{_STREET_END})\s+{_HOUSE}\b\.?",
        0.8,
    ),
    _Form(
        "ADDRESS",
        rf"\b(?:{_HOUSE}\s+)?(?:{_NAME}[ ]){{1,3}}(?:{_STREET_LAST})\s+{_HOUSE}\b\.?",
        0.8,
    ),
    _Form(
        "ADDRESS",
        rf"(?<!\w)(?:{_HOUSE}\s+)?(?:{_STREET_BEGIN})\s+(?:{_NAME}[ ]){{0,4}}{_NAME},?\s+(?:n[.°º]\s*)?{_HOUSE}\b",
        0.7,
    ),
    _Form("ADDRESS", rf"{_CONTEXT_POSTCODE}([A-Z0-9]{{2,5}}(?:[ -]?[A-Z0-9]{{2,5}})?)\b", 0.7),
    _Form(
        "ADDRESS",
        r"\b(?:GIR ?0AA|[A-PR-UWYZ](?:\d{1,2}|[A-HK-Y]\d[\dABEHMNPRV-Y]?|\d[A-HJKPS-UW]) ?\d[ABD-HJLNP-UW-Z]{2})\b",
        0.8,
        exact_case=True,
    ),
    _Form("ADDRESS", r"\b[1-9]\d{3} [A-Z]{2}\b(?= [A-Z]|\s*$|,)", 0.6, exact_case=True),
    _Form("ADDRESS", r"\b[A-Z]{2}\s+(\d{5}-\d{4})\b", 0.7, exact_case=True),
)

_PHONE_WORD: Final = re.compile(
    r"\b(?:phone|tel|telephone|telefon|tél|teléfono|telefono|fon|call|calling|mobile|mobil|cell|fax|handy|office|home|work"
    r"|whatsapp|sms|text|dial|ring|reach|number|numbers|messages to|answering at|contact)\b",
    re.IGNORECASE,
)
_PHONE: Final = re.compile(
    r"(?<![\w./-])(?:(?:\+|00)\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]?)?\d{1,5}(?:[ ./-]{1,2}\(?\d{1,5}\)?){0,6}"
    r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w/])"
)
_DIALLED_WORD: Final = re.compile(
    r"\b(?:phone|tel|telephone|telefon|tél|call|mobile?|cell|fax|whatsapp|office)\b", re.I
)
_UNGROUPED: Final = re.compile(r"(?<![\w./-])0?\d{7,12}(?![\w/.])")
_UNGROUPED_NEAR_CHARS: Final = 20
_PHONE_NEAR_CHARS: Final = 60
_REGIONS: Final = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "CH", "AT", "BE", "DK", "SE", "NO", "FI", "PL", "PT", "IE")
_IP4: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?![\w]|\.\d)")
_IP6: Final = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")


def find(text: str) -> Iterator[Finding]:
    """Everything in ``text`` that has one of the forms. Offsets are into ``text``; kinds may overlap."""
    for form, expression in _compiled():
        for match in expression.finditer(text):
            group = 1 if expression.groups and not expression.groupindex else 0
            if match[group]:
                yield _finding(form.kind, match.start(group), match[group], form.score)
    yield from _phones(text)
    yield from _addresses(text)
    yield from _keys(text)


@cache
def _compiled() -> tuple[tuple[_Form, re.Pattern[str]], ...]:
    return tuple((form, re.compile(form.expression, 0 if form.exact_case else re.IGNORECASE)) for form in _FORMS)


def _finding(kind: str, start: int, text: str, score: float) -> Finding:
    return Finding(kind, start, start + len(text), text, PATTERN, score)


def _phones(text: str) -> Iterator[Finding]:
    for match in _PHONE.finditer(text):
        digits = sum(character.isdigit() for character in match[0])
        if not 7 <= digits <= 17 or _LOOKS_OTHERWISE.fullmatch(match[0]):
            continue
        near = text[max(match.start() - _PHONE_NEAR_CHARS, 0) : match.end() + 12]
        if match[0].startswith(("+", "00")):
            score = 0.9
        elif _PHONE_WORD.search(near):
            score = 0.7
        elif _is_dialled(match[0]):
            score = 0.6
        else:
            continue
        yield _finding("PHONE", match.start(), match[0], score)
    for match in _UNGROUPED.finditer(text):
        if _DIALLED_WORD.search(text[max(match.start() - _UNGROUPED_NEAR_CHARS, 0) : match.end() + 6]):
            yield _finding("PHONE", match.start(), match[0], 0.6)


_LOOKS_OTHERWISE: Final = re.compile(
    rf"{_YEAR}-\d{{2}}-\d{{2}}(?: \d{{1,2}})?|\d{{1,2}}[/.-]\d{{1,2}}[/.-]{_YEAR}|\d{{3}}-\d{{2}}-\d{{4}}"
    rf"|\d{{1,3}}(?:\.\d{{1,3}}){{2,3}}|\d{{13,19}}|{_YEAR}\s?[-/]\s?{_YEAR}"
)


def _is_dialled(text: str) -> bool:
    """Whether it is grouped, and a number that is given out in one of the regions."""
    if not re.search(r"\d[ ./)-]+\d", text):
        return False
    for region in _REGIONS:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False


def _addresses(text: str) -> Iterator[Finding]:
    for expression in (_IP4, _IP6):
        for match in expression.finditer(text):
            try:
                address = ipaddress.ip_address(match[0].partition("/")[0])
            except ValueError:
                continue
            if not (address.is_loopback or address.is_unspecified):
                yield _finding("IP", match.start(), match[0], 0.9)


def _keys(text: str) -> Iterator[Finding]:
    for expression, score in ((_ASSIGNED, 0.8), (_IN_ADDRESS, 0.9)):
        for match in expression.finditer(text):
            value = match["value"].rstrip(".)?")
            if _is_secretive(value):
                yield _finding("KEY", match.start("value"), value, score)
    for match in _DENSE.finditer(text):
        if _is_dense(match[0]):
            yield _finding("KEY", match.start(), match[0], 0.6)


def _is_secretive(value: str) -> bool:
    """A password is not one plain word."""
    kinds = sum(bool(re.search(kind, value)) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[^\w]"))
    return kinds >= 2 and bool(re.search(r"\d|[^\w.,:()\[\]{}'-]", value)) and "(" not in value


def _is_dense(value: str) -> bool:
    """Letters in both cases and digits in no order, as keys are and words and numbers aren't."""
    if not (re.search(r"[a-z]", value) and re.search(r"[A-Z]", value) and len(re.findall(r"\d", value)) >= 3):
        return False
    counts = Counter(value)
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
    longest_word = max(map(len, re.findall(r"[A-Z]?[a-z]+", value)), default=0)
    return bits >= _MIN_BITS and longest_word < 8
