"""Where text enters this house, is changed, is kept, and leaves: a picture whose boxes are buttons.

``Facts`` in, boxes and arrows out; ``boxes_of`` decides what each says and whether it is on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QCoreApplication, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from app.gate.records import BytesLeft, Provider
from ui import display
from ui.icons import Icons
from ui.pages.gate.map_box import MapBox
from ui.theme import GRID, ThemeStore, grown

_LEAST_WIDTH, _LEAST_HEIGHT = 560, 400
_LEAST_HEIGHT_TALL = 520
"""What three rows of boxes and those outside below them take."""
_NARROW = 860
_WALL, _OUTSIDE = 3, 4
_GATE = 13 * GRID
_HEAD = 56
_BOX = 74
_MOST_PROVIDERS = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the house now."""

    offline: bool = False
    model: str = ""
    """The loaded model's name; empty when none is loaded."""
    conversations: int = 0
    asking: int = 0
    open: int = 0
    terms: int = 0
    encrypted: bool | None = None
    in_keyring: bool = False
    left: BytesLeft | None = None
    providers: tuple[Provider, ...] = ()

    @property
    def gate_open(self) -> bool:
        """Whether anything of a conversation could leave now."""
        return not self.offline and bool(self.providers) and self.asking + self.open > 0


@dataclass(frozen=True, slots=True)
class Box:
    """One box: where it stands, what it says, whether it is on, and where it leads."""

    key: str
    place: int
    """0 enters, 1 changes, 2 keeps, 3 the gate in the wall, 4 outside."""
    row: int
    icon: str
    title: str
    detail: str
    on: bool
    leads_to: str
    tone: str = "accent"


def boxes_of(facts: Facts) -> list[Box]:
    """What the picture shows. Pure."""
    model = facts.model or _tr("none loaded")
    chats = _tr("1 conversation") if facts.conversations == 1 else _tr("%1 conversations")
    stored = chats.replace("%1", display.integer(facts.conversations))
    sealed = {True: _tr("encrypted"), False: _tr("not encrypted"), None: ""}[facts.encrypted]
    hidden = _tr("names become placeholders")
    if facts.terms:
        hidden = _tr("placeholders, %1 own words").replace("%1", display.integer(facts.terms))
    made = [
        Box("chat", 0, 0, "message-square", _tr("What you write"), stored, True, "chat"),
        Box("documents", 0, 1, "file-text", _tr("Files you add"), _tr("read here, in a sandbox"), True, "documents"),
        Box("model", 1, 0, "box", _tr("Local model"), model, bool(facts.model), "models"),
        Box("detectors", 1, 2, "scan-text", _tr("Detectors"), hidden, True, "detectors"),
        Box(
            "store",
            2,
            0,
            "database",
            _tr("Store"),
            sealed,
            True,
            "settings",
            "warning" if facts.encrypted is False else "accent",
        ),
        Box("keys", 2, 1, "key-round", _tr("Keys"), _key_words(facts), True, "providers"),
        Box("ledger", 2, 2, "scroll-text", _tr("Ledger"), _ledger_words(facts.left), True, "ledger"),
        _gate_box(facts),
    ]
    shown = facts.providers[:_MOST_PROVIDERS]
    for number, provider in enumerate(shown):
        icon = "server" if provider.trust == "team" else "cloud"
        on = facts.gate_open
        detail = provider.model if provider.has_key else _tr("%1 · no key").replace("%1", provider.model)
        made.append(Box(f"provider{number}", 4, number, icon, provider.name, detail, on, "providers", "outside"))
    if not shown:
        made.append(
            Box(
                "provider",
                4,
                0,
                "cloud-off",
                _tr("No provider"),
                _tr("nobody can be asked"),
                False,
                "providers",
                "outside",
            )
        )
    hub = _tr("when you ask") if not facts.offline else _tr("offline")
    made.append(
        Box("hub", 4, max(len(shown), 1), "download", _tr("Model hub"), hub, not facts.offline, "models", "outside")
    )
    return made


def _gate_box(facts: Facts) -> Box:
    if facts.offline:
        return Box("gate", 3, 2, "wifi-off", _tr("Offline"), _tr("all stays"), False, "map", "muted")
    if facts.open:
        words = _tr("%1 open").replace("%1", display.integer(facts.open))
        if facts.asking:
            words += _tr(", %1 ask").replace("%1", display.integer(facts.asking))
        return Box("gate", 3, 2, "lock-open", _tr("Gate"), words, facts.gate_open, "chat", "outside")
    if facts.asking:
        words = _tr("1 asks first") if facts.asking == 1 else _tr("%1 ask first")
        return Box(
            "gate",
            3,
            2,
            "shield-check",
            _tr("Gate"),
            words.replace("%1", display.integer(facts.asking)),
            facts.gate_open,
            "chat",
        )
    return Box("gate", 3, 2, "lock", _tr("Gate"), _tr("shut: all local"), False, "chat", "success")


def _key_words(facts: Facts) -> str:
    count = sum(1 for provider in facts.providers if provider.has_key)
    where = _tr("in the keyring") if facts.in_keyring else _tr("sealed here")
    words = _tr("1 key, %2") if count == 1 else _tr("%1 keys, %2")
    return words.replace("%1", display.integer(count)).replace("%2", where) if count else _tr("none yet")


def _ledger_words(left: BytesLeft | None) -> str:
    if left is not None and not left.total and left.since is not None:
        return _tr("No request left")
    if left is None or not left.total:
        return _tr("0 bytes left")
    return _tr("%1 left today").replace("%1", display.byte_size(left.today))


class DataMap(QWidget):
    """``wanted`` tells where a chosen box leads: a page's or a section's key."""

    wanted = Signal(str)

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self.setObjectName("page")
        self._themes, self._icons = themes, icons
        self._facts = Facts()
        self.boxes: dict[str, MapBox] = {}
        self._shown: dict[str, Box] = {}
        self.setMinimumSize(grown(_LEAST_WIDTH), grown(_LEAST_HEIGHT))
        self.setAccessibleName(self.tr("Map of where text goes"))
        themes.changed.connect(self.update)
        self.show_facts(self._facts)

    def show_facts(self, facts: Facts) -> None:
        self._facts = facts
        shown = boxes_of(facts)
        self._shown = {box.key: box for box in shown}
        for key in [key for key in self.boxes if key not in self._shown]:
            gone = self.boxes.pop(key)
            gone.hide()
            gone.deleteLater()
        for box in shown:
            widget = self.boxes.get(box.key)
            if widget is None:
                widget = self.boxes[box.key] = MapBox(self._themes, self._icons, self)
                widget.clicked.connect(partial(self._chosen, box.key))
                widget.show()
            widget.tell(box.icon, box.title, box.detail, on=box.on, tone=box.tone)
        self.setAccessibleDescription("; ".join(f"{box.title}: {box.detail}" for box in shown))
        self._arrange()
        self.update()

    def _chosen(self, key: str, _checked: bool = False) -> None:
        self.wanted.emit(self._shown[key].leads_to)

    # Placing.

    @property
    def _tall(self) -> bool:
        """In a narrow window the house stands above and what is outside below."""
        return self.width() < grown(_NARROW)

    def _house(self) -> QRect:
        """The walls; the gate stands in the one that looks outside."""
        if self._tall:
            return QRect(1, 1, self.width() - 2, round(self.height() * 0.7))
        return QRect(1, 1, round(self.width() * 0.71), self.height() - 2)

    def _arrange(self) -> None:
        house, tall = self._house(), self._tall
        gap = 2 * GRID if tall else 5 * GRID
        edge = 2 * GRID if tall else 3 * GRID
        inside = house.width() - (0 if tall else grown(_GATE) // 2 + gap - edge)
        width = (inside - 2 * edge - 2 * gap) // 3
        step = (house.height() - grown(_HEAD) - GRID - (grown(_BOX) // 2 if tall else 0)) // 3
        outside = [key for key, box in self._shown.items() if box.place == _OUTSIDE]
        for key, box in self._shown.items():
            if box.place == _OUTSIDE:
                self.boxes[key].setGeometry(self._outside(outside.index(key), len(outside)))
            elif box.place == _WALL and tall:
                left = edge + 2 * (width + gap) + (width - grown(_GATE)) // 2
                self.boxes[key].setGeometry(left, house.bottom() - grown(_BOX) // 2, grown(_GATE), grown(_BOX))
            else:
                left = house.right() - grown(_GATE) // 2 if box.place == _WALL else edge + box.place * (width + gap)
                top = grown(_HEAD) + box.row * step + (step - grown(_BOX)) // 2
                self.boxes[key].setGeometry(left, top, grown(_GATE) if box.place == _WALL else width, grown(_BOX))

    def _outside(self, number: int, count: int) -> QRect:
        house = self._house()
        if self._tall:
            width = (self.width() - (count - 1) * GRID) // count
            return QRect(number * (width + GRID), self.height() - grown(_BOX) - GRID, width, grown(_BOX))
        each = (self.height() - grown(_HEAD) - GRID) // max(count, 3)
        height = min(grown(_BOX), each - GRID)
        left = house.right() + grown(_GATE) // 2 + 7 * GRID
        return QRect(left, grown(_HEAD) + number * each + (each - height) // 2, self.width() - left - 2, height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.setMinimumHeight(grown(_LEAST_HEIGHT_TALL if self._tall else _LEAST_HEIGHT))
        self._arrange()

    # Painting.

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        theme = self._themes.theme
        painter.setPen(QPen(QColor(theme.border_strong), 1.5))
        painter.setBrush(QColor(theme.raised))
        painter.drawRoundedRect(QRectF(self._house()), 12, 12)
        self._paint_titles(painter)
        facts = self._facts
        self._arrow(painter, "chat", "model", bool(facts.model))
        self._arrow(painter, "documents", "model", bool(facts.model))
        self._arrow(painter, "model", "store", True)
        self._arrow(painter, "model", "detectors", facts.gate_open, down=True)
        self._arrow(painter, "detectors", "ledger", facts.gate_open)
        self._arrow(painter, "ledger", "gate", facts.gate_open, down=self._tall)
        for key, box in self._shown.items():
            if box.place == _OUTSIDE:
                self._arrow(painter, "gate", key, box.on, tone="outside", down=self._tall)
        painter.end()

    def _paint_titles(self, painter: QPainter) -> None:
        theme, house = self._themes.theme, self._house()
        titles = {"chat": _tr("Enters"), "model": _tr("Is changed"), "store": _tr("Is kept")}
        first = next((key for key, box in self._shown.items() if box.place == _OUTSIDE), None)
        if first is not None:
            titles[first] = _tr("Leaves")
        painter.setFont(self._themes.fonts.caption)
        for key, words in titles.items():
            box = self.boxes[key].geometry()
            painter.setPen(QColor(theme.outside if key == first else theme.muted))
            painter.drawText(QRect(box.left() + 2, box.top() - 24, box.width(), 20), Qt.AlignmentFlag.AlignLeft, words)
        painter.setFont(self._themes.fonts.strong)
        painter.setPen(QColor(theme.muted))
        painter.drawText(house.adjusted(2 * GRID, 12, -2 * GRID, 0), Qt.AlignmentFlag.AlignLeft, _tr("This machine"))

    def _arrow(
        self, painter: QPainter, start: str, end: str, on: bool, *, tone: str = "accent", down: bool = False
    ) -> None:
        theme = self._themes.theme
        one, other = self.boxes[start].geometry(), self.boxes[end].geometry()
        colour = QColor(getattr(theme, tone) if on else theme.border_strong)
        painter.setPen(QPen(colour, 1.8 if on else 1.2, Qt.PenStyle.SolidLine if on else Qt.PenStyle.DashLine))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        path = QPainterPath()
        if down:
            begin, tip = QPointF(one.center().x(), one.bottom() + 1), QPointF(other.center().x(), other.top() - 2)
            middle = (begin.y() + tip.y()) / 2
            path.moveTo(begin)
            path.cubicTo(QPointF(begin.x(), middle), QPointF(tip.x(), middle), tip)
        else:
            begin, tip = QPointF(one.right() + 1, one.center().y()), QPointF(other.left() - 2, other.center().y())
            middle = (begin.x() + tip.x()) / 2
            path.moveTo(begin)
            path.cubicTo(QPointF(middle, begin.y()), QPointF(middle, tip.y()), tip)
        painter.drawPath(path)
        painter.setPen(QPen(colour, 1.8, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        back = ((-4, -5), (4, -5)) if down else ((-5, -4), (-5, 4))
        for x, y in back:
            painter.drawLine(tip, tip + QPointF(x, y))


def _tr(text: str) -> str:
    return QCoreApplication.translate("gate", text)
