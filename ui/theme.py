"""Colours, sizes and fonts: the one place that knows how Gatehouse looks.

``Theme`` is a frozen record of named colours, light and dark; ``ThemeStore`` chooses between them, follows the system,
and announces changes. What widgets are made of (the style sheet) is in ``ui.stylesheet``, icons are in ``ui.icons``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontInfo, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from ui.stylesheet import style_sheet

Appearance = Literal["system", "light", "dark"]

GRID = 8
"""Every distance is a multiple of this, or half of it."""
HALF = GRID // 2
TEXT_WIDTH = 760
"""Widest column of running text, in pixels."""
CONTROL_HEIGHT = 32
FRAME_MS = 16
_FONT_PX = 13.34
_LINE = 22

_FONT_FOLDER = Path(__file__).resolve().parent.parent / "resources" / "fonts"
_TEXT_FONTS = ("Inter-Regular.otf", "Inter-Medium.otf", "Inter-SemiBold.otf", "Inter-Italic.otf")
_MONO_FONTS = ("JetBrainsMono-Regular.ttf", "JetBrainsMono-Bold.ttf")
_PLAIN_FAMILIES = frozenset(
    {
        "DejaVu Sans",
        "Bitstream Vera Sans",
        "FreeSans",
        "Helvetica",
        "Liberation Sans",
        "Nimbus Sans",
        "Sans",
        "Arial",
        "",
    }
)
"""What a system without a chosen interface font falls back to; Inter is better."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Named colours as ``#rrggbb``. ``text``, ``muted`` and ``faint`` are readable (WCAG AA) on every background."""

    name: Literal["light", "dark"]
    # backgrounds, from the back to the front
    window: str
    surface: str
    raised: str
    code_background: str
    # lines
    border: str
    border_strong: str
    # words
    text: str
    muted: str
    faint: str
    # the one accent
    accent: str
    accent_hover: str
    accent_text: str
    """On a background of ``accent``."""
    accent_soft: str
    # meanings
    danger: str
    danger_soft: str
    warning: str
    warning_soft: str
    success: str
    success_soft: str
    outside: str
    """Whatever leaves this machine or came from outside: an open gate, a cloud's answer. Nothing else has it."""
    outside_soft: str
    # states
    selection: str
    hover: str
    pressed: str
    focus: str
    # memory bars
    bar_used: str
    bar_weights: str
    bar_experts: str
    bar_kv: str
    bar_compute: str
    bar_free: str
    # code
    code_text: str
    code_keyword: str
    code_string: str
    code_number: str
    code_comment: str
    code_function: str
    code_type: str

    @property
    def dark(self) -> bool:
        return self.name == "dark"


LIGHT = Theme(
    name="light",
    window="#f3f3f0",
    surface="#ffffff",
    raised="#fafaf8",
    code_background="#f6f6f3",
    border="#e1e0db",
    border_strong="#8b8c88",
    text="#1b1d1f",
    muted="#53575b",
    faint="#64686c",
    accent="#0d6b72",
    accent_hover="#0a5a60",
    accent_text="#ffffff",
    accent_soft="#e0eeee",
    danger="#b3261e",
    danger_soft="#fbe9e7",
    warning="#8a5300",
    warning_soft="#fbf0db",
    success="#2c6e33",
    success_soft="#e6f2e6",
    outside="#6541b0",
    outside_soft="#efe9fa",
    selection="#daebeb",
    hover="#ebebe7",
    pressed="#e1e1dc",
    focus="#0d6b72",
    bar_used="#a8a9a4",
    bar_weights="#0d6b72",
    bar_experts="#4f8fc0",
    bar_kv="#c07a1c",
    bar_compute="#7a5ea8",
    bar_free="#e7e7e2",
    code_text="#24282b",
    code_keyword="#8a3a8f",
    code_string="#2f6b3a",
    code_number="#9a4a00",
    code_comment="#646a6e",
    code_function="#1f5fa6",
    code_type="#0d6b72",
)

DARK = Theme(
    name="dark",
    window="#151719",
    surface="#1b1d20",
    raised="#222528",
    code_background="#16181a",
    border="#303438",
    border_strong="#70767c",
    text="#e6e7e8",
    muted="#b0b5ba",
    faint="#999fa5",
    accent="#4fb6ba",
    accent_hover="#68c4c8",
    accent_text="#0b1a1b",
    accent_soft="#1d3336",
    danger="#f28b82",
    danger_soft="#3a2322",
    warning="#e5b05c",
    warning_soft="#352b1b",
    success="#81c784",
    success_soft="#1f3022",
    outside="#bda6f4",
    outside_soft="#2b2440",
    selection="#1f393d",
    hover="#282c2f",
    pressed="#303438",
    focus="#4fb6ba",
    bar_used="#6d7378",
    bar_weights="#4fb6ba",
    bar_experts="#6f9fdb",
    bar_kv="#dba04a",
    bar_compute="#a88fd6",
    bar_free="#2d3135",
    code_text="#dcdfe2",
    code_keyword="#d2a0e0",
    code_string="#98c99c",
    code_number="#e0ac74",
    code_comment="#92989e",
    code_function="#8bb8ee",
    code_type="#6cc4c8",
)


@dataclass(frozen=True, slots=True)
class Fonts:
    """The type scale, in the system's font where it has one worth the name."""

    caption: QFont
    body: QFont
    strong: QFont
    title: QFont
    headline: QFont
    mono: QFont


def load_fonts(*, shipped: bool = False) -> Fonts:
    """The type scale. ``shipped`` asks for the fonts that travel with Gatehouse whatever the system has."""
    for name in _MONO_FONTS:
        QFontDatabase.addApplicationFont(str(_FONT_FOLDER / name))
    system = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    plain = sys.platform not in ("darwin", "win32") and QFontInfo(system).family() in _PLAIN_FAMILIES
    body = QFont(system)
    if shipped or plain or QGuiApplication.platformName() == "offscreen":
        for name in _TEXT_FONTS:
            QFontDatabase.addApplicationFont(str(_FONT_FOLDER / name))
        body = QFont("Inter")
        body.setPointSizeF(10.0)
    base = body.pointSizeF() if body.pointSizeF() > 0 else 10.0
    body.setPointSizeF(base)
    mono = QFont("JetBrains Mono")
    mono.setStyleHint(QFont.StyleHint.Monospace)
    mono.setPointSizeF(base * 0.94)
    return Fonts(
        caption=_sized(body, 0.9),
        body=body,
        strong=_sized(body, 1.0, QFont.Weight.DemiBold),
        title=_sized(body, 1.2, QFont.Weight.DemiBold),
        headline=_sized(body, 1.7, QFont.Weight.DemiBold),
        mono=mono,
    )


def palette_of(theme: Theme) -> QPalette:
    """The palette of Fusion's own painting, and of everything that the style sheet does not reach."""
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: theme.surface,
        QPalette.ColorRole.WindowText: theme.text,
        QPalette.ColorRole.Base: theme.surface,
        QPalette.ColorRole.AlternateBase: theme.raised,
        QPalette.ColorRole.Text: theme.text,
        QPalette.ColorRole.PlaceholderText: theme.faint,
        QPalette.ColorRole.Button: theme.raised,
        QPalette.ColorRole.ButtonText: theme.text,
        QPalette.ColorRole.BrightText: theme.danger,
        QPalette.ColorRole.ToolTipBase: theme.raised,
        QPalette.ColorRole.ToolTipText: theme.text,
        QPalette.ColorRole.Highlight: theme.selection,
        QPalette.ColorRole.HighlightedText: theme.text,
        QPalette.ColorRole.Link: theme.accent,
        QPalette.ColorRole.LinkVisited: theme.accent,
        QPalette.ColorRole.Light: theme.raised,
        QPalette.ColorRole.Midlight: theme.hover,
        QPalette.ColorRole.Mid: theme.border,
        QPalette.ColorRole.Dark: theme.border_strong,
        QPalette.ColorRole.Accent: theme.accent,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.WindowText, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.faint))
    return palette


class ThemeStore(QObject):
    """The theme in force. Widgets that paint with its colours listen to ``changed``."""

    changed = Signal(object)
    """The new ``Theme``; the application's palette and style sheet are already its own."""

    def __init__(
        self,
        app: QApplication,
        appearance: Appearance = "system",
        *,
        shipped_fonts: bool = False,
        scheme: Callable[[], Qt.ColorScheme] | None = None,
    ) -> None:
        """``scheme`` says what the system wants; Qt's own answer when left out."""
        super().__init__(app)
        self._app = app
        self._scheme = scheme or app.styleHints().colorScheme
        self._appearance: Appearance = appearance
        app.setStyle("Fusion")
        self.fonts = load_fonts(shipped=shipped_fonts)
        app.setFont(self.fonts.body)
        self.theme = self._resolve()
        self._apply()
        app.styleHints().colorSchemeChanged.connect(self._follow)
        self.set_appearance(appearance)

    @property
    def appearance(self) -> Appearance:
        return self._appearance

    def set_appearance(self, appearance: Appearance) -> None:
        """Light, dark, or as the system has it; title bars follow where the system lets them."""
        self._appearance = appearance
        wanted = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark, "system": Qt.ColorScheme.Unknown}
        self._app.styleHints().setColorScheme(wanted[appearance])
        self._follow()

    def _follow(self) -> None:
        theme = self._resolve()
        if theme is not self.theme:
            self.theme = theme
            self._apply()
            self.changed.emit(theme)

    def _resolve(self) -> Theme:
        if self._appearance == "system":
            return DARK if self._scheme() is Qt.ColorScheme.Dark else LIGHT
        return DARK if self._appearance == "dark" else LIGHT

    def _apply(self) -> None:
        self._app.setPalette(palette_of(self.theme))
        self._app.setStyleSheet(style_sheet(self.theme, grown(_LINE)))


def grown(length: int) -> int:
    """A length that holds text, in pixels for a font of 10 points at 96 dpi, as large as the system's font needs it."""
    return round(length * max(1.0, QFontInfo(QGuiApplication.font()).pixelSize() / _FONT_PX))


def apply(app: QApplication, appearance: Appearance = "system", *, shipped_fonts: bool = False) -> ThemeStore:
    """Give the application its style, fonts and colours; keep the returned store to change them."""
    return ThemeStore(app, appearance, shipped_fonts=shipped_fonts)


def contrast(foreground: str, background: str) -> float:
    """WCAG contrast ratio, 1 to 21. Source: WCAG 2.2, relative luminance."""
    lighter, darker = sorted((_luminance(foreground), _luminance(background)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _sized(font: QFont, ratio: float, weight: QFont.Weight | None = None) -> QFont:
    scaled = QFont(font)
    scaled.setPointSizeF(font.pointSizeF() * ratio)
    if weight is not None:
        scaled.setWeight(weight)
    return scaled
