"""Line icons, drawn from SVG in the theme's colours and kept per size and screen density.

The pictures are Lucide's (``resources/icons``, ISC licence). ``Icons.icon`` is for one theme; widgets that keep an icon
ask again when ``ThemeStore.changed`` fires, as ``ui.widgets.icon_button.IconButton`` does by itself.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from ui.theme import Theme, ThemeStore

_FOLDER = Path(__file__).resolve().parent.parent / "resources" / "icons"
_DENSITIES = (1.0, 2.0)
SIZE = 18
STROKE = "1.75"


class Icons:
    """The icons of one application. Names are the files' stems, e.g. ``trash-2``."""

    def __init__(self, themes: ThemeStore) -> None:
        self._themes = themes
        self._pixmaps: dict[tuple[str, str, int, float], QPixmap] = {}
        self._icons: dict[tuple[str, str, str, str], QIcon] = {}

    def icon(self, name: str, tone: str = "muted", *, on: str = "accent") -> QIcon:
        """The icon in the colour that the theme calls ``tone``; ``on`` is the colour when checked."""
        theme = self._themes.theme
        key = (name, tone, on, theme.name)
        if key not in self._icons:
            self._icons[key] = self._build(name, theme, tone, on)
        return self._icons[key]

    def pixmap(self, name: str, tone: str = "muted", size: int = SIZE, density: float = 1.0) -> QPixmap:
        """The picture itself, ``size`` logical pixels wide, for a screen of ``density``."""
        return self._draw(name, _colour(self._themes.theme, tone), size, density)

    def _build(self, name: str, theme: Theme, tone: str, on: str) -> QIcon:
        icon = QIcon()
        states = (
            (QIcon.Mode.Normal, QIcon.State.Off, tone),
            (QIcon.Mode.Active, QIcon.State.Off, "text" if tone == "muted" else tone),
            (QIcon.Mode.Disabled, QIcon.State.Off, "border_strong"),
            (QIcon.Mode.Normal, QIcon.State.On, on),
            (QIcon.Mode.Active, QIcon.State.On, on),
        )
        for density in _DENSITIES:
            for mode, state, colour in states:
                icon.addPixmap(self._draw(name, _colour(theme, colour), SIZE, density), mode, state)
        return icon

    def _draw(self, name: str, colour: str, size: int, density: float) -> QPixmap:
        key = (name, colour, size, density)
        if key not in self._pixmaps:
            self._pixmaps[key] = draw(name, colour, size, density)
        return self._pixmaps[key]


def draw(name: str, colour: str, size: int, density: float) -> QPixmap:
    """An icon in a colour (``#rrggbb``). Raises ``FileNotFoundError`` for a name that is not there."""
    pixels = round(size * density)
    pixmap = QPixmap(QSize(pixels, pixels))
    pixmap.fill(Qt.GlobalColor.transparent)
    svg = _source(name).replace("currentColor", colour).replace('stroke-width="2"', f'stroke-width="{STROKE}"')
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, pixels, pixels))
    painter.end()
    pixmap.setDevicePixelRatio(density)
    return pixmap


@cache
def _source(name: str) -> str:
    return (_FOLDER / f"{name}.svg").read_text("utf-8")


def _colour(theme: Theme, tone: str) -> str:
    colour = getattr(theme, tone)
    assert isinstance(colour, str)
    return colour
