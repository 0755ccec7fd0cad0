"""Rules of a schema as a person reads and writes them: ``lines.amount + vat = total``, ``issued ≤ due``."""

from __future__ import annotations

import re
from typing import Final

from app.extraction.schema import Rule, RuleKind

_SIGNS: Final = {RuleKind.SUM: " + ", RuleKind.PRODUCT: " × ", RuleKind.ORDER: " ≤ "}
_PATH: Final = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*")
_TOLERANCE: Final = re.compile(r"\s*(?:±|\+-|\+/-)\s*(\d+(?:\.\d+)?)\s*$")
_USUAL: Final = Rule(RuleKind.SUM, ()).tolerance


def rule_words(rule: Rule) -> str:
    """One line, that ``rule_of`` reads again."""
    words = _SIGNS[rule.kind].join(rule.parts)
    if rule.kind is not RuleKind.ORDER:
        words += f" = {rule.total}"
    return words if rule.tolerance == _USUAL else f"{words} ± {rule.tolerance}"


def rule_of(words: str) -> Rule | None:
    """The rule that a line says; ``None`` when it says none. Whether its fields exist is the schema's check."""
    found = _TOLERANCE.search(words)
    tolerance = found[1] if found is not None else _USUAL
    words = words[: found.start()] if found is not None else words
    words = words.replace("<=", "≤").replace("*", "×")
    if "≤" in words:
        parts = _paths(words.split("≤"))
        return Rule(RuleKind.ORDER, parts, "", tolerance) if len(parts) > 1 else None
    left, equals, right = words.partition("=")
    total = _paths([right])
    kind = RuleKind.PRODUCT if "×" in left else RuleKind.SUM
    parts = _paths(left.split("×" if kind is RuleKind.PRODUCT else "+"))
    if not equals or not parts or not total:
        return None
    return Rule(kind, parts, total[0], tolerance)


def _paths(texts: list[str]) -> tuple[str, ...]:
    """All of them, or none when one is no path."""
    names = tuple(text.strip() for text in texts)
    return names if all(_PATH.fullmatch(name) for name in names) else ()
