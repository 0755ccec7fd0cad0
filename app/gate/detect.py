"""Everything that is found in texts: by patterns, by the person's glossary, by the local model, put together.

Each detector is its own module's; hiding what was found is ``redact.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.gate import surfaces
from app.gate.names import Asker, NameFinder, Tell
from app.gate.placeholders import is_kind
from app.gate.records import Finding, Term
from app.gate.scan import Scanner
from app.gate.settling import joined, settled

GLOSSARY = "glossary"


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found, and who looked."""

    findings: tuple[tuple[Finding, ...], ...]
    """For each text, in order, without overlaps."""
    names_sought: bool
    """Whether the local model looked for names, organisations and addresses."""


class Detector:
    """All detectors together."""

    def __init__(self, scanner: Scanner, names: NameFinder) -> None:
        self._scanner = scanner
        self._names = names

    def forget(self) -> None:
        """Let go of what was found in the latest texts."""
        self._names.forget()

    async def detect(
        self,
        texts: Sequence[str],
        terms: Iterable[Term] = (),
        asker: Asker | None = None,
        model_id: str = "",
        tell: Tell | None = None,
    ) -> Detected:
        """Look through ``texts``; without an ``asker`` nobody looks for names, and ``tell`` hears nothing of it.

        Raises ``GatehouseError``.
        """
        scanned = await self._scanner.scan(texts)
        named: Sequence[Sequence[Finding]] = [() for _ in texts]
        if asker is not None:
            named = await self._names.find(texts, asker, model_id, tell)
        known = list(terms)
        return Detected(
            tuple(
                combined(text, in_scan, in_names, in_glossary(text, known))
                for text, in_scan, in_names in zip(texts, scanned, named, strict=True)
            ),
            asker is not None,
        )


def in_glossary(text: str, terms: Iterable[Term]) -> tuple[Finding, ...]:
    """Where the person's own terms occur, in any case and with endings."""
    found = []
    for term in terms:
        if not term.text.strip():
            continue
        kind = term.kind if is_kind(term.kind) else "TERM"
        matches = re.finditer(surfaces.pattern(kind, term.text), text, re.IGNORECASE)
        found += [Finding(kind, match.start(), match.end(), match[0], GLOSSARY, 1.0) for match in matches]
    return tuple(found)


def combined(text: str, *groups: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings of all detectors in one text, without overlaps; the pieces of an address as one."""
    return joined(settled((one for group in groups for one in group), text), text)
