"""The scanner's child: ``python -m app.gate.scanner_child``, run by ``app.gate.scan`` in the sandbox of the engine.

It hosts Presidio's recognisers without a model of a language, and our own. Texts come in as JSON and findings go out.
Some of Presidio's would fetch a list of public suffixes; here they get the one that is in the wheel.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final

from app.gate.records import Finding
from app.gate.settling import settled
from engine.errors import GatehouseError
from engine.sandbox.serve import serve

_PRESIDIO: Final[tuple[tuple[str, str, float, str], ...]] = (
    # Recogniser, our kind, the least score that counts, words of which one must be near.
    # Checked by digits that a stranger's number rarely has right:
    ("AuMedicareRecognizer", "HEALTH", 0.9, "medicare"),
    ("CaSinRecognizer", "TAX", 0.9, r"\bsin\b|social insurance"),
    ("CryptoRecognizer", "ACCOUNT", 0.9, ""),
    ("DeHealthInsuranceRecognizer", "HEALTH", 0.9, ""),
    ("DeIdCardRecognizer", "ID", 0.9, "ausweis|identity card|id card"),
    ("DeSocialSecurityRecognizer", "HEALTH", 0.9, ""),
    ("DeTaxIdRecognizer", "TAX", 0.9, "steuer|tax|idnr|identifikation"),
    ("EsNifRecognizer", "TAX", 0.9, ""),
    ("FiPersonalIdentityCodeRecognizer", "ID", 0.9, ""),
    ("IbanRecognizer", "IBAN", 0.9, ""),
    ("InGstinRecognizer", "TAX", 0.9, ""),
    ("ItFiscalCodeRecognizer", "TAX", 0.9, ""),
    ("MedicalLicenseRecognizer", "HEALTH", 0.9, r"\bdea\b|licen[cs]e|certificate"),
    ("NgNinRecognizer", "ID", 0.9, r"\bnin\b|national identi"),
    ("PlPeselRecognizer", "ID", 0.9, "pesel"),
    ("SgFinRecognizer", "ID", 0.5, r"\bfin\b|nric|singapore"),
    ("SgUenRecognizer", "TAX", 0.9, r"\buen\b|registration"),
    ("UsNpiRecognizer", "HEALTH", 0.9, r"\bnpi\b|provider"),
    # Known by their form and a word beside them:
    ("UkDrivingLicenceRecognizer", "ID", 0.4, ""),
    ("UkNinoRecognizer", "TAX", 0.5, ""),
    ("UsItinRecognizer", "TAX", 0.3, r"\bitin\b|taxpayer"),
    ("UsMbiRecognizer", "HEALTH", 0.4, "mbi|medicare|beneficiary"),
    ("UsSsnRecognizer", "TAX", 0.5, r"\bssn\b|social security"),
    # Known by their form:
    ("PhoneRecognizer", "PHONE", 0.4, r"phone|tel|call|mobile|fax|cell|whatsapp|reach"),
)
"""What of Presidio's helps, measured on half of the sentences of ``tests/bench/gate_pii.py``.

Left out: those without a check, which take every number or word of some length (bank and licence numbers of the US,
India's PAN, plates, German postcodes and passports); those that disagree with what we call private (dates, web
addresses inside e-mail addresses); and those that ours repeat with more spellings (cards, IP and MAC addresses) or in
less time (e-mail: a long row of dots takes its expression minutes).
"""
_NEAR_CHARS: Final = 60


def main(arguments: list[str]) -> None:
    """Serve until the input ends."""
    serve(answer, arguments[0])


def answer(question: bytes, _part: Callable[[bytes], None]) -> bytes:
    """A JSON list of texts to a JSON list of lists of ``[kind, start, end, detector, score]``."""
    texts = json.loads(question)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise GatehouseError("bad_question", "The scanner was asked something that is not a list of texts.")
    found = [[[one.kind, one.start, one.end, one.detector, one.score] for one in find(text)] for text in texts]
    return json.dumps(found, separators=(",", ":")).encode()


def find(text: str) -> Sequence[Finding]:
    """What all recognisers find in one text, in order, without overlaps."""
    from app.gate import recognisers_names, recognisers_numbers, recognisers_patterns

    ours = (recognisers_numbers, recognisers_patterns, recognisers_names)
    found = [*(one for module in ours for one in module.find(text)), *_presidio(text)]
    return settled(found, text)


def _presidio(text: str) -> Iterable[Finding]:
    for recognizer, kind, least, near in _recognizers():
        for one in recognizer.analyze(text, recognizer.supported_entities, None):
            around = text[max(one.start - _NEAR_CHARS, 0) : one.end + 16]
            if one.score < least or (near is not None and not near.search(around)):
                continue
            detector = "checksum" if one.score >= 1.0 and kind not in ("EMAIL", "PHONE") else "pattern"
            yield Finding(kind, one.start, one.end, text[one.start : one.end], detector, min(one.score, 0.99))


@cache
def _recognizers() -> tuple[tuple[Any, str, float, re.Pattern[str] | None], ...]:
    keep_suffix_list_here()
    from presidio_analyzer import predefined_recognizers

    return tuple(
        (getattr(predefined_recognizers, name)(), kind, least, re.compile(near, re.IGNORECASE) if near else None)
        for name, kind, least, near in _PRESIDIO
    )


def keep_suffix_list_here() -> None:
    """tldextract asks two hosts for the list at first use; its own copy does."""
    import tldextract
    import tldextract.tldextract as implementation

    here = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    implementation.TLD_EXTRACTOR = here


if __name__ == "__main__":
    main(sys.argv[1:])
