"""Numbers to words, as tables."""

from __future__ import annotations

import datetime as dt

import pytest
from PySide6.QtCore import QLocale

from ui import display

ENGLISH = QLocale(QLocale.Language.English, QLocale.Country.UnitedStates)
GERMAN = QLocale(QLocale.Language.German, QLocale.Country.Germany)


def plain(text: str) -> str:
    return text.replace(display.NBSP, " ")


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (98_362_432, "93.8 MiB"),
        (104_857_600, "100 MiB"),
        (1_048_000_000, "999 MiB"),
        (1 << 30, "1.0 GiB"),
        (33_000_000_000, "30.7 GiB"),
        (1 << 50, "1.0 PiB"),
        (5000 << 50, "5,000 PiB"),
        (-3, "0 B"),
    ],
)
def test_bytes(count: int, words: str) -> None:
    assert plain(display.byte_size(count, ENGLISH)) == words


def test_the_locale_writes_the_numbers() -> None:
    assert plain(display.byte_size(98_362_432, GERMAN)) == "93,8 MiB"
    assert display.integer(12_345, GERMAN) == "12.345"


def test_a_pair_says_its_unit_once() -> None:
    assert plain(display.byte_pair(5 << 30, 24 << 30, ENGLISH)) == "5.0 of 24.0 GiB"
    assert plain(display.byte_pair(300 << 20, 8 << 30, ENGLISH)) == "300 MiB of 8.0 GiB"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 ms"),
        (0.0421, "42 ms"),
        (0.0996, "0.1 s"),
        (0.41, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert plain(display.duration(seconds, ENGLISH)) == words


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 ms"), (4, "4.0 s"), (75, "1 min 15 s")])
def test_durations_of_whole_seconds(seconds: int, words: str) -> None:
    assert plain(display.duration(seconds, ENGLISH)) == words


@pytest.mark.parametrize(
    ("count", "words"), [(512, "512"), (1000, "1,000"), (8192, "8k"), (131072, "128k"), (1 << 20, "1M"), (40960, "40k")]
)
def test_contexts(count: int, words: str) -> None:
    assert display.tokens_short(count, ENGLISH) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(134_515_008, "135 M"), (999_700_000, "1.0 B"), (30_532_122_624, "30.5 B"), (None, "—"), (950, "950")],
)
def test_parameters(count: int | None, words: str) -> None:
    assert plain(display.parameters(count, ENGLISH)) == words


@pytest.mark.parametrize(("rate", "words"), [(3.14, "3.1 tok/s"), (9.96, "10 tok/s"), (1234.4, "1,234 tok/s")])
def test_speed(rate: float, words: str) -> None:
    assert plain(display.speed(rate, ENGLISH)) == words


def test_tokens_have_a_singular() -> None:
    assert display.tokens(1, ENGLISH) == "1 token"
    assert display.tokens(4096, ENGLISH) == "4,096 tokens"


def test_percent_is_not_done_before_it_is() -> None:
    assert display.percent(0.996, ENGLISH) == "99%"
    assert display.percent(1, ENGLISH) == "100%"


def _moment(*parts: int) -> float:
    return dt.datetime(*parts).timestamp()  # type: ignore[arg-type]  # noqa: DTZ001 - local time is meant


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ((2026, 3, 12, 14, 59, 30), "just now"),
        ((2026, 3, 12, 14, 48, 0), "12 min ago"),
        ((2026, 3, 12, 9, 5, 0), "09:05"),
        ((2026, 3, 11, 23, 59, 0), "Yesterday"),
        ((2026, 3, 8, 12, 0, 0), "Sun"),
        ((2026, 1, 3, 12, 0, 0), "3 Jan"),
        ((2025, 12, 30, 12, 0, 0), "30 Dec 2025"),
    ],
)
def test_ago(then: tuple[int, ...], words: str) -> None:
    assert display.ago(_moment(*then), _moment(2026, 3, 12, 15, 0, 0), ENGLISH) == words


@pytest.mark.parametrize(
    ("then", "heading"),
    [
        ((2026, 3, 12, 0, 1, 0), "Today"),
        ((2026, 3, 11, 23, 59, 0), "Yesterday"),
        ((2026, 3, 6, 12, 0, 0), "Last 7 days"),
        ((2026, 2, 20, 12, 0, 0), "Last 30 days"),
        ((2025, 3, 12, 12, 0, 0), "Older"),
    ],
)
def test_day_groups(then: tuple[int, ...], heading: str) -> None:
    assert display.day_group(_moment(*then), _moment(2026, 3, 12, 15, 0, 0)) == heading


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "$0"),
        (0.00001, "<$0.0001"),
        (0.00413, "$0.0041"),
        (0.0999, "$0.10"),
        (0.234, "$0.23"),
        (1204, "$1,204.00"),
    ],
)
def test_usd(amount: float, words: str) -> None:
    assert display.usd(amount, ENGLISH) == words


def test_a_provider_is_named_with_its_model() -> None:
    assert display.provider("OpenAI", "gpt-5-mini") == "OpenAI · gpt-5-mini"
    assert display.provider("", "gpt-5-mini") == "gpt-5-mini"
