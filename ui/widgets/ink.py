"""The colours and fonts with which a transcript is painted, worked out once per theme."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QFont, QFontMetricsF

from ui.theme import Fonts, Theme
from ui.widgets.highlight import TokenKind

READING_SCALE = 1.08
"""Running text is a little larger than the controls around it."""
LINE_HEIGHT = 1.5
"""Of the font's size in pixels, for running text; code and headings sit closer."""
CODE_LINE_HEIGHT = 1.45
_HEADINGS = (1.0, 1.5, 1.28, 1.12, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Ink:
    """Everything a block needs to lay itself out and paint itself."""

    theme: Theme
    body: QFont
    headings: tuple[QFont, ...]
    """By level; 0 is the body."""
    mono: QFont
    caption: QFont
    text: QColor
    muted: QColor
    faint: QColor
    accent: QColor
    border: QColor
    border_strong: QColor
    surface: QColor
    raised: QColor
    hover: QColor
    bubble: QColor
    code_background: QColor
    selection: QColor
    found: QColor
    found_now: QColor
    code: dict[TokenKind, QColor]

    def code_advance(self) -> float:
        """Width of one character of code."""
        return QFontMetricsF(self.mono).horizontalAdvance("0")


def mix_ink(theme: Theme, fonts: Fonts) -> Ink:
    """The ink of a theme."""
    body = _scaled(fonts.body, READING_SCALE)
    mono = QFont(fonts.mono)
    # A model's "->" is shown as it was written, not as an arrow.
    mono.setFeature(QFont.Tag("calt"), 0)
    mono.setFeature(QFont.Tag("liga"), 0)
    headings = tuple(_heading(body, level) for level in range(7))
    colour = QColor
    return Ink(
        theme=theme,
        body=body,
        headings=headings,
        mono=mono,
        caption=fonts.caption,
        text=colour(theme.text),
        muted=colour(theme.muted),
        faint=colour(theme.faint),
        accent=colour(theme.accent),
        border=colour(theme.border),
        border_strong=colour(theme.border_strong),
        surface=colour(theme.surface),
        raised=colour(theme.raised),
        hover=colour(theme.hover),
        bubble=colour(theme.accent_soft),
        code_background=colour(theme.code_background),
        selection=colour(theme.selection),
        found=colour(theme.warning_soft),
        found_now=colour(theme.warning),
        code={
            "text": colour(theme.code_text),
            "keyword": colour(theme.code_keyword),
            "string": colour(theme.code_string),
            "number": colour(theme.code_number),
            "comment": colour(theme.code_comment),
            "function": colour(theme.code_function),
            "type": colour(theme.code_type),
        },
    )


def line_step(font: QFont, ratio: float = LINE_HEIGHT) -> float:
    """Distance between two lines, in whole pixels so that text stays sharp."""
    metrics = QFontMetricsF(font)
    size = font.pixelSize() if font.pixelSize() > 0 else metrics.height() / 1.21
    return float(max(round(size * ratio), round(metrics.height())))


def _heading(body: QFont, level: int) -> QFont:
    font = _scaled(body, _HEADINGS[level])
    if level:
        font.setWeight(QFont.Weight.DemiBold)
    return font


def _scaled(font: QFont, ratio: float) -> QFont:
    scaled = QFont(font)
    scaled.setPointSizeF(font.pointSizeF() * ratio)
    return scaled
