"""The scanner's child: what it finds, what holds it, and what happens when it fails."""

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence

import pytest

from app.gate import scan as scan_module
from app.gate.records import Finding
from app.gate.scan import Scanner
from engine.errors import GatehouseError
from engine.sandbox.limits import Limits
from engine.worker.process import worker_environment

FOUND = [
    ("pay to DE89 3704 0044 0532 0130 00 to be quick", "IBAN", "DE89 3704 0044 0532 0130 00"),
    ("from gb82west12345698765432 today", "IBAN", "gb82west12345698765432"),
    ("card 4111 1111 1111 1111, exp 12/27", "CARD", "4111 1111 1111 1111"),
    ("Amex 378282246310005.", "CARD", "378282246310005"),
    ("my SSN is 536-90-4399", "TAX", "536-90-4399"),
    ("Steuer-ID: 36 574 261 809", "TAX", "36 574 261 809"),
    ("codice fiscale RCCMNL83S18D969H grazie", "TAX", "RCCMNL83S18D969H"),
    ("NIF 54362315K", "TAX", "54362315K"),
    ("CPF 390.533.447-05", "TAX", "390.533.447-05"),
    ("VAT no. DE136695976", "TAX", "DE136695976"),
    ("PESEL 44051401359", "ID", "44051401359"),
    ("hetu 131052-308T", "ID", "131052-308T"),
    ("CPR 211062-5629", "ID", "211062-5629"),
    ("NHS number 943 476 5919", "HEALTH", "943 476 5919"),
    ("AHV 756.9217.0769.85", "HEALTH", "756.9217.0769.85"),
    ("NIR 2 95 10 99 126 111 93", "HEALTH", "2 95 10 99 126 111 93"),
    ("BSN: 111222333", "TAX", "111222333"),
    ("Aadhaar 2341 2341 2346", "ID", "2341 2341 2346"),
    ("write to zoe.o'neil+x@mail.example.co.uk!", "EMAIL", "zoe.o'neil+x@mail.example.co.uk"),
    ("ring +44 20 7946 0958 now", "PHONE", "+44 20 7946 0958"),
    ("call me at (212) 555-0187 x12", "PHONE", "(212) 555-0187 x12"),
    ("host 203.0.113.7 and more", "IP", "203.0.113.7"),
    ("host 2001:db8::8a2e:370:7334", "IP", "2001:db8::8a2e:370:7334"),
    ("see https://example.org/a?u=7.", "URL", "https://example.org/a?u=7"),
    ("key sk-proj-Ab3dE6gH9jK2mN5pQ8sT1vW4 here", "KEY", "sk-proj-Ab3dE6gH9jK2mN5pQ8sT1vW4"),
    ("AKIAIOSFODNN7EXAMPLE", "KEY", "AKIAIOSFODNN7EXAMPLE"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9", "KEY", None),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nAAAA\n-----END RSA PRIVATE KEY-----", "KEY", None),
    ("password: Tr0ub4dor&3, thanks", "KEY", "Tr0ub4dor&3"),
    ("postgres://app:s3cr3tpw@db", "KEY", "s3cr3tpw"),
    ("blob q8Zr1Xv7Lm2Kp9Ws4Td6Yb3Nc5Hg0Jf", "KEY", "q8Zr1Xv7Lm2Kp9Ws4Td6Yb3Nc5Hg0Jf"),
    ("born 12 March 1942", "DATE", "12 March 1942"),
    ("geb. 03.11.1979", "DATE", "03.11.1979"),
    ("This 74 year old complains", "AGE", "74"),
    ("he retired at the age of 61", "AGE", "61"),
    ("die 43-jährige Lehrerin", "AGE", "43"),
    ("at 221b Baker Street", "ADDRESS", "221b Baker Street"),
    ("Bergstraße 12a\n80331 München", "ADDRESS", "Bergstraße 12a"),
    ("postcode SW1A 1AA", "ADDRESS", "SW1A 1AA"),
    ("ask Dr. Ana María de la Cruz about it", "PERSON", "Ana María de la Cruz"),
    ("Kind regards,\nOle Morgenthau", "PERSON", "Ole Morgenthau"),
    ("Patient: Ludmila Horáková, 43", "PERSON", "Ludmila Horáková"),
    ("bought by Kestrel & Wren Holdings GmbH last year", "ORGANISATION", "Kestrel & Wren Holdings GmbH"),
]

INNOCENT = """Version 1.2.3 of the API returns HTTP 404 in 0.35 s; see section 4.2, page 17, and RFC 9110.
In 2019 we sold 1,234,567 units at 4.99 each, 12 % more than in 2018. Order 100200300 has 3 parts of 12x34x56 mm.
def compute_total_price_of_all_items(request_identifier: str) -> None: self.authentication_token = get_token(user)
The commit 3f786850e387550fdab836ed7e6dc881de23001b fixes ISO 8601 weeks; 192.168.1 is no address, 10:30:45 a time.
Windows 10, Chapter 3, Article 50, Apollo 11, Catch 22, 7 of 9, 24/7, 1:1, A4, H2O, COVID-19, 3.14159265358979.
A whisky aged 12 years, children aged 6 to 10, pages 20 and 21, the Age of Empires, 30 years ago.
Dear all, dear Sir or Madam, hello world! The Bank raised rates. Name: see below. The University opens at 9."""


@pytest.mark.slow
async def test_what_identifies_is_found_whole_and_nothing_else() -> None:
    card = " 4111 1111 1111 1111 "
    long = ("word " * 700 + card) * 60
    nested = "https://user:Pa55word!x@host.example/?card=4111111111111111&mail=a@b.org and a@b.org 4111111111111111"
    texts = [*(text for text, _, _ in FOUND), INNOCENT, long, nested, ""]
    scanner = Scanner()
    try:
        found = await scanner.scan(texts)
        confinement = scanner.confinement
    finally:
        await scanner.close()

    assert _missed(found) == []
    assert [(one.kind, one.text) for one in found[-4]] == []
    # To the end, and over the seams of the pieces in which it is looked through:
    cards = [one.start for one in found[-3] if one.kind == "CARD"]
    assert cards == [place + 1 for place in range(3500, len(long), 3500 + len(card))]
    for text, row in zip(texts, found, strict=True):
        assert all(text[one.start : one.end] == one.text for one in row)
        assert all(a.end <= b.start for a, b in itertools.pairwise(row))
    assert confinement is not None
    assert confinement.network or sys.platform != "linux"


def _missed(found: Sequence[Sequence[Finding]]) -> list[object]:
    return [
        (text, kind, [(one.kind, one.text) for one in row])
        for (text, kind, string), row in zip(FOUND, found, strict=False)
        if not any(one.kind == kind and one.text == (string or text) for one in row)
    ]


@pytest.mark.slow
async def test_a_child_that_is_too_slow_lets_nothing_out() -> None:
    scanner = Scanner(limits=Limits(wall_s=0.001))
    try:
        with pytest.raises(GatehouseError, match="nothing leaves") as caught:
            await scanner.scan(["a@b.org"])
        assert caught.value.code == "not_scanned"
    finally:
        await scanner.close()
    with pytest.raises(GatehouseError, match="closed"):
        await scanner.scan(["a@b.org"])


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        [[["EMAIL", 0, 99, "pattern", 1.0]]],
        [[["EMAIL", 3, 1, "pattern", 1.0]]],
        [[["email", 0, 1, "pattern", 1.0]]],
        [[["EMAIL", 0, 1, "me", 1.0]]],
        [[["EMAIL", 0, 1, "pattern"]]],
        [[["EMAIL", True, 1, "pattern", 1.0]]],
    ],
)
async def test_an_answer_that_cannot_be_is_refused(answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    scanner = Scanner()

    async def ask(_texts: list[str]) -> object:
        return answer

    monkeypatch.setattr(scanner, "_ask", ask)
    with pytest.raises(GatehouseError) as caught:
        await scanner.scan(["a@b.org"])
    assert caught.value.code == "not_scanned"


async def test_too_much_at_once_is_refused_with_the_numbers() -> None:
    with pytest.raises(GatehouseError, match="4,194,304"):
        await Scanner().scan(["x" * (scan_module.MAX_CHARS + 1)])


_WATCHED = """
import json, os, sys
def refuse(event, _arguments):
    # Making one and binding it is how urllib3 learns at its import whether there is IPv6.
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):
        os.write(2, event.encode())
        os._exit(9)
sys.addaudithook(refuse)
from app.gate.scanner_child import find
print(json.dumps([one.kind for one in find("write to a@b.co.uk, see https://x.example.org, call +44 20 7946 0958")]))
"""


@pytest.mark.slow
async def test_no_recogniser_asks_for_a_socket() -> None:
    """Outside the sandbox, where asking would not be refused."""
    command = [sys.executable, "-c", _WATCHED]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, env=worker_environment(), timeout=60
    )

    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert json.loads(done.stdout) == ["EMAIL", "URL", "PHONE"]
