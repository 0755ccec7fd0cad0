"""What strangers say reaches a terminal as text, never as orders to it."""

from __future__ import annotations

import pytest

from app.cli import printer
from app.cli.asking_elsewhere import _sheet
from app.gate.label import GateMode, Label
from app.gate.records import ALLOWED, OutgoingMessage, Preview, Provider

ORDERS = "pay\x1b[2K\x1b]52;c;ZXZpbA==\x07 \u202eereht\u202c\rover\x9b1A"


@pytest.mark.parametrize("text", ["plain", "two\r\nlines\tand a tab\n", "naïve 日本 \u200f שלום 👩‍👩‍👧"])
def test_text_stays_as_it_is(text: str) -> None:
    assert printer.harmless(text) == text


def test_orders_become_visible() -> None:
    shown = printer.harmless(ORDERS)
    assert shown.isprintable()
    assert shown.startswith("pay\\x1b[2K")


def test_a_file_gets_the_text_itself(capsys: pytest.CaptureFixture[str]) -> None:
    printer.piece(printer.from_stranger(ORDERS))
    assert capsys.readouterr().out == ORDERS


def test_a_file_with_a_name_of_orders_takes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    printer.tell(f"[1/2] {ORDERS}\nname.txt: 3 values")
    printer.complain(f"{ORDERS}\nname.txt is empty.")
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 2
    assert all(line.isprintable() for line in shown)


def test_the_sheet_in_a_terminal_hides_nothing() -> None:
    """A pasted text must not wipe its own line from what a person agrees to."""
    provider = Provider("p", "Nimbus", "https://api.example/v1", "m", "cloud", None, None, None, True)
    message = OutgoingMessage("user", ORDERS, ORDERS, "your draft", False, Label.PUBLIC)
    made = Preview("s", None, provider, (message,), (), b"{}", "00", 1, None, Label.PUBLIC, GateMode.ASK, ALLOWED, ())
    assert not any(sign in _sheet(made) for sign in "\x1b\r\x07\x9b\u202e")
