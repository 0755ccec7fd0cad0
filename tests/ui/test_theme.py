"""Colours are readable, complete, and follow the system."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QFontInfo
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ui import theme
from ui.stylesheet import style_sheet
from ui.theme import DARK, LIGHT, Theme, ThemeStore, contrast

BACKGROUNDS = ("window", "surface", "raised", "hover", "selection", "accent_soft", "code_background")
WORDS = ("text", "muted", "faint")
LINES = ("border_strong", "focus", "accent")
"""What must be seen to know where a control is: 3:1 (WCAG 1.4.11)."""


def test_contrast_of_black_and_white() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#777777") == pytest.approx(1)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda t: t.name)
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_words_are_readable_everywhere(colours: Theme, words: str, background: str) -> None:
    assert contrast(getattr(colours, words), getattr(colours, background)) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda t: t.name)
@pytest.mark.parametrize(
    ("words", "background"),
    [
        ("accent_text", "accent"),
        ("accent_text", "accent_hover"),
        ("accent", "surface"),
        ("accent", "raised"),
        ("accent", "window"),
        ("accent", "accent_soft"),
        ("danger", "surface"),
        ("danger", "raised"),
        ("danger", "selection"),
        ("danger", "danger_soft"),
        ("warning", "surface"),
        ("warning", "warning_soft"),
        ("success", "surface"),
        ("success", "selection"),
        ("success", "success_soft"),
        ("outside", "surface"),
        ("outside", "raised"),
        ("outside", "window"),
        ("outside", "selection"),
        ("outside", "outside_soft"),
        ("surface", "outside"),
        ("text", "outside_soft"),
        ("muted", "outside_soft"),
        ("text", "danger_soft"),
        ("text", "warning_soft"),
        ("muted", "danger_soft"),
        ("muted", "warning_soft"),
    ],
)
def test_meanings_are_readable(colours: Theme, words: str, background: str) -> None:
    assert contrast(getattr(colours, words), getattr(colours, background)) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda t: t.name)
@pytest.mark.parametrize(
    "name", [f.name for f in fields(Theme) if f.name.startswith("code_") and f.name != "code_background"]
)
def test_code_is_readable(colours: Theme, name: str) -> None:
    assert contrast(getattr(colours, name), colours.code_background) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda t: t.name)
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("background", ["window", "surface", "raised"])
def test_control_edges_are_seen(colours: Theme, line: str, background: str) -> None:
    assert contrast(getattr(colours, line), getattr(colours, background)) >= 3


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda t: t.name)
def test_every_colour_is_a_colour(colours: Theme) -> None:
    for field in fields(Theme):
        if field.name != "name":
            assert re.fullmatch(r"#[0-9a-f]{6}", getattr(colours, field.name)), field.name


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda t: t.name)
def test_pictures_of_the_style_sheet_exist_in_its_colours(colours: Theme) -> None:
    paths = [Path(found) for found in re.findall(r'url\("([^"]+)"\)', style_sheet(colours))]
    assert paths
    known = {colours.muted, colours.accent_text}
    for path in paths:
        stroke = re.search(r'stroke="(#[0-9a-f]{6})"', path.read_text("utf-8"))
        assert stroke is not None
        assert stroke.group(1) in known


def test_an_appearance_is_taken_at_once(qapp: QApplication, qtbot: QtBot) -> None:
    store = ThemeStore(qapp, "light")
    with qtbot.waitSignal(store.changed) as caught:
        store.set_appearance("dark")
    assert caught.args == [DARK]
    assert qapp.palette().window().color().name() == DARK.surface


def test_the_system_is_followed_only_when_asked(qapp: QApplication, qtbot: QtBot) -> None:
    wanted = [Qt.ColorScheme.Unknown]
    store = ThemeStore(qapp, "system", scheme=lambda: wanted[0])
    assert store.theme is LIGHT
    announce = qapp.styleHints().colorSchemeChanged
    wanted[0] = Qt.ColorScheme.Dark
    with qtbot.waitSignal(store.changed):
        announce.emit(wanted[0])
    assert store.theme is DARK
    store.set_appearance("light")
    with qtbot.assertNotEmitted(store.changed):
        announce.emit(wanted[0])


def test_shipped_fonts_are_usable(qapp: QApplication) -> None:
    fonts = theme.load_fonts(shipped=True)
    assert QFontInfo(fonts.body).family() == "Inter"
    assert QFontInfo(fonts.mono).family() == "JetBrains Mono"
    assert QFontInfo(fonts.mono).fixedPitch()
    assert {"Inter", "JetBrains Mono"} <= set(QFontDatabase.families())
    assert fonts.caption.pointSizeF() < fonts.body.pointSizeF() < fonts.title.pointSizeF() < fonts.headline.pointSizeF()
