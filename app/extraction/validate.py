"""Whether values can be right: checksums, ranges and the rules between fields. Sentences for a person, no verdicts.

Pure but for python-stdnum, which is imported when a checksum is wanted.
"""

from __future__ import annotations

import datetime
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Final

from app.extraction.normalise import parse_number
from app.extraction.schema import Field, FieldType, Rule, RuleKind, Schema

_EU_VAT: Final = frozenset(
    "AT BE BG CY CZ DE DK EE EL ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK XI".split()  # noqa: SIM905
)
_MAX_PATTERN_CHARS: Final = 200
_INDEX: Final = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Ruled:
    """What the rules say: sentences by path, and the paths that take part in a rule that holds."""

    problems: Mapping[str, tuple[str, ...]]
    upheld: frozenset[str]


def problems_of(field: Field, value: str, today: datetime.date | None = None) -> tuple[str, ...]:
    """What is wrong with one canonical value of a field; empty when nothing is."""
    names = [*field.validators]
    if field.type is FieldType.IBAN:
        names.append("iban")
    if field.type is FieldType.VAT_ID:
        names.append("vat_id")
    found = [_problem(name, value, today or datetime.date.today()) for name in dict.fromkeys(names)]  # noqa: DTZ011
    return tuple(sentence for sentence in found if sentence)


def _problem(name: str, value: str, today: datetime.date) -> str:
    kind, _, argument = name.partition(":")
    if kind in ("past", "future"):
        return _date_problem(kind, value, today)
    if kind in ("positive", "not_negative", "range"):
        return _number_problem(kind, argument, value)
    check = _TEXT_CHECKS.get(kind)
    return check(argument, value) if check else f"The schema names a check {name[:40]!r} that does not exist."


def _iban_problem(_: str, value: str) -> str:
    return "" if _checks("iban", value) else "The checksum of this IBAN is wrong."


def _stdnum_problem(module: str, value: str) -> str:
    return "" if _checks(module, value) else f"This is not a valid {module.replace('.', ' ').upper()}."


def _email_problem(_: str, value: str) -> str:
    return "" if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}", value) else "This is no e-mail address."


def _pattern_problem(pattern: str, value: str) -> str:
    try:
        fits = len(pattern) <= _MAX_PATTERN_CHARS and re.fullmatch(pattern, value[:1000])
    except re.error:
        return "The schema's expression for this field is not well-formed."
    return "" if fits else "It does not have the form that the schema asks for."


def _length_problem(argument: str, value: str) -> str:
    most = int(argument) if argument.isdecimal() else 0
    return "" if len(value) <= most else f"It has {len(value)} characters; {most} are the most."


def _vat_problem(_: str, value: str) -> str:
    """The European ones have checksums; others are let pass."""
    if value[:2] not in _EU_VAT or not value[2:3].isalnum():
        return ""
    return "" if _checks("eu.vat", value) else "The checksum of this VAT id is wrong."


_TEXT_CHECKS: Final[Mapping[str, Callable[[str, str], str]]] = {
    "iban": _iban_problem,
    "vat_id": _vat_problem,
    "stdnum": _stdnum_problem,
    "email": _email_problem,
    "pattern": _pattern_problem,
    "max_chars": _length_problem,
}


def _checks(module: str, value: str) -> bool:
    if not re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)*", module):
        return False
    try:
        checker = importlib.import_module(f"stdnum.{module}")
    except ImportError:
        return False
    valid = getattr(checker, "is_valid", None)
    return bool(valid is not None and valid(value))


def _date_problem(kind: str, value: str, today: datetime.date) -> str:
    try:
        date = datetime.date.fromisoformat(value)
    except ValueError:
        return "This is no date."
    if kind == "past" and date > today:
        return f"{value} lies in the future."
    return f"{value} lies in the past." if kind == "future" and date < today else ""


def _number_problem(kind: str, argument: str, value: str) -> str:
    number = _decimal(value)
    if number is None:
        return "This is no number."
    if kind == "positive":
        return "" if number > 0 else f"{value} is not above zero."
    if kind == "not_negative":
        return "" if number >= 0 else f"{value} is below zero."
    low, _, high = argument.partition("..")
    least, most = _decimal(low), _decimal(high)
    if (least is not None and number < least) or (most is not None and number > most):
        return f"{value} is not between {low or '…'} and {high or '…'}."
    return ""


def check_rules(schema: Schema, values: Mapping[str, str | None]) -> Ruled:
    """All rules over canonical values by path. A rule whose values are not all there says nothing."""
    problems: dict[str, tuple[str, ...]] = {}
    upheld: set[str] = set()
    for rule in schema.rules:
        for paths, sentence in _judged(rule, values):
            if sentence:
                for path in paths:
                    problems[path] = (*problems.get(path, ()), sentence)
            else:
                upheld.update(paths)
    return Ruled(problems, frozenset(upheld))


def _judged(rule: Rule, values: Mapping[str, str | None]) -> list[tuple[list[str], str]]:
    """The paths of each application of a rule and what is wrong there."""
    if rule.kind is RuleKind.PRODUCT:
        rows = sorted({match.group() for path in values if (match := re.match(r".*\[\d+\]", path))})
        named = [_in_row(rule, row) for row in rows] if "." in rule.total else [(list(rule.parts), rule.total)]
        return [one for parts, total in named if (one := _product(rule, parts, total, values))]
    if rule.kind is RuleKind.ORDER:
        return _order(rule, values)
    return _sum(rule, values)


def _in_row(rule: Rule, row: str) -> tuple[list[str], str]:
    table = _INDEX.sub("", row)
    inside = [f"{row}{part.removeprefix(table)}" for part in (*rule.parts, rule.total)]
    return inside[:-1], inside[-1]


def _sum(rule: Rule, values: Mapping[str, str | None]) -> list[tuple[list[str], str]]:
    total = _decimal(values.get(rule.total))
    paths = [path for part in rule.parts for path in values if _INDEX.sub("", path) == part]
    numbers = {path: _decimal(values[path]) for path in paths if values[path] is not None}
    if total is None or not numbers or any(number is None for number in numbers.values()):
        return []
    made = sum((number for number in numbers.values() if number is not None), Decimal(0))
    fits = abs(made - total) <= _tolerance(rule)
    what = " + ".join(rule.parts)
    return [([*numbers, rule.total], "" if fits else f"{what} add up to {made:f}, not to {total:f}.")]


def _product(
    rule: Rule, parts: Sequence[str], total_path: str, values: Mapping[str, str | None]
) -> tuple[list[str], str] | None:
    total = _decimal(values.get(total_path))
    numbers = [_decimal(values.get(path)) for path in parts]
    made = Decimal(1)
    for number in numbers:
        if number is None or total is None:
            return None
        made *= number
    if total is None:
        return None
    fits = abs(made - total) <= _tolerance(rule)
    names = " × ".join(path.rsplit(".", 1)[-1] for path in parts)
    return [*parts, total_path], "" if fits else f"{names} is {made.normalize():f}, not {total:f}."


def _order(rule: Rule, values: Mapping[str, str | None]) -> list[tuple[list[str], str]]:
    there = [(path, value) for path in rule.parts if (value := values.get(path)) is not None]
    found = []
    for (path, value), (next_path, next_value) in pairwise(there):
        left, right = _decimal(value), _decimal(next_value)
        # ISO dates compare as texts.
        fits = left <= right if left is not None and right is not None else value <= next_value
        found.append(([path, next_path], "" if fits else f"{path} ({value}) is after {next_path} ({next_value})."))
    return found


def _tolerance(rule: Rule) -> Decimal:
    return _decimal(rule.tolerance) or Decimal(0)


def _decimal(value: str | None) -> Decimal | None:
    if value is None:
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return parse_number(value) if not re.fullmatch(r"\d{4}-\d\d-\d\d", value) else None
