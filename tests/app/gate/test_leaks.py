"""The last look at the bytes that would leave."""

import json

import pytest

from app.gate.leaks import LeakFinder, readable, unconsented
from app.gate.records import Finding
from tests.app.gate.encodings import ENCODINGS

CANARY = "heron vault 73 quartz"
HIDDEN = {"[PERSON_1]": "Zoltán Kerekes", "[IBAN_1]": "DE89 3704 0044 0532 0130 00"}
ORDINARY = "Please compare these two offers, and say in 100 words which is better for a family of 4 in Zürich. "


def body(text: str) -> bytes:
    message = {"role": "user", "content": f"{ORDINARY}{text} {ORDINARY}"}
    return json.dumps({"model": "m-1", "messages": [message], "temperature": 0.2, "stream": True}).encode()


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("secret", [CANARY, *HIDDEN.values()])
def test_a_string_is_found_however_it_is_wrapped(name: str, secret: str) -> None:
    found = LeakFinder(HIDDEN, [CANARY]).find(body(ENCODINGS[name](secret)))

    assert [leak.text for leak in found] == [secret]


def test_the_raw_bytes_are_looked_at_too() -> None:
    found = LeakFinder({}, [CANARY]).find(b'{"messages": [{"content": "' + CANARY.encode() + b"\xff")

    assert [leak.kind for leak in found] == ["CANARY"]


@pytest.mark.parametrize(
    ("hidden", "text"),
    [
        ("Ann Lee", "They ran an. Leeds won; the channel led. QW5uZQ== and cafeannlees"),
        ("Mark", "Remark the marked mark; a supermarket."),
        ("Anna", "Susannah and Hannah went to Savannah."),
        ("Stuttgart", "The Großstuttgarter Blatt."),
    ],
)
def test_ordinary_text_is_not_stopped(hidden: str, text: str) -> None:
    assert LeakFinder({"[PERSON_1]": hidden}).find(body(text)) == ()


@pytest.mark.parametrize("name", ["spaced", "signs between", "reversed", "zero width", "full width", "hex"])
def test_a_single_word_is_found_when_it_is_taken_apart(name: str) -> None:
    text = f"The Großstuttgarter Blatt. {ENCODINGS[name]('Stuttgart')}"

    assert LeakFinder({"[PLACE_1]": "Stuttgart"}).find(body(text))


def test_placeholders_and_hidden_literals_are_no_leaks() -> None:
    finder = LeakFinder({"[TEXT_1]": "[PERSON_1]", "[PERSON_1]": "Zoltán Kerekes"})

    assert finder.find(body("[PERSON_1] wrote [TEXT_1].")) == ()


def test_the_scanner_is_shown_every_string_of_a_body() -> None:
    nested = {"messages": [{"content": "a\u00e9"}], "tools": {"x": ["b", {"c": 4111111111111111}]}, "stop": None}

    assert {"a\u00e9", "b", "x", "c", "4111111111111111"} <= set(readable(json.dumps(nested).encode()))
    assert readable(b"no json \xff")[0].startswith("no json")


def test_only_checked_numbers_that_nobody_let_through_are_left_over() -> None:
    card = Finding("CARD", 0, 19, "4111 1111 1111 1111", "checksum", 1.0)
    other = Finding("CARD", 0, 16, "5500005555555559", "checksum", 1.0)
    mail = Finding("EMAIL", 0, 7, "a@b.org", "pattern", 1.0)

    assert unconsented([card, other, mail], ["4111-1111-1111-1111"]) == (other,)
