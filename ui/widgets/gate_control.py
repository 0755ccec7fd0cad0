"""The gate of a conversation where one writes: what it lets happen, how sensitive the conversation is, and a card to
change both.

Shows a setting and asks by signals; what may be set, and what follows, is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from PySide6.QtCore import QCoreApplication, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QRadioButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.gate.label import DEFAULT_LABEL, DEFAULT_MODE, GateMode, Label, strictest
from app.gate.records import Place
from ui import gate_words
from ui.icons import Icons
from ui.theme import GRID, HALF, ThemeStore, grown
from ui.widgets.choice_bar import ChoiceBar
from ui.widgets.parts import button, column, frame, label, row

_WIDTH = 56 * GRID
_INDENT = 28
"""Where a radio button's words begin."""


@dataclass(frozen=True, slots=True)
class GateSetting:
    """What a conversation's gate is set to, and what else rules over it."""

    mode: GateMode = DEFAULT_MODE
    label: Label = DEFAULT_LABEL
    """The one in force."""
    own_label: Label = DEFAULT_LABEL
    offline: bool = False
    providers: int = 0
    place_id: str | None = None
    """The workspace or folder that it lies in."""
    places: tuple[Place, ...] = ()
    """Where it could lie; none for a conversation that does not exist yet."""

    @property
    def shut(self) -> bool:
        """Whether nothing can be asked of the cloud here."""
        return self.mode is GateMode.LOCAL or self.label is Label.RESTRICTED or self.offline


@dataclass(frozen=True, slots=True)
class GateLook:
    """How a setting is shown: words, an icon, a tone of the theme, and the sentence for a tooltip."""

    words: str
    icon: str
    tone: str
    sentence: str


def look_of(setting: GateSetting) -> GateLook:
    """The setting as the control and the status bar show it. Pure."""
    mode, tag = gate_words.mode_words(setting.mode), gate_words.label_words(setting.label)
    if setting.mode is GateMode.LOCAL:
        return GateLook(f"{mode} · {tag}", "lock", "success", gate_words.mode_meaning(setting.mode))
    if setting.label is Label.RESTRICTED:
        return GateLook(f"{mode} · {tag}", "lock", "success", gate_words.label_meaning(setting.label))
    if setting.offline:
        words = _tr("Gatehouse is offline: nothing leaves this machine until you switch that off.")
        return GateLook(_tr("%1 · offline").replace("%1", mode), "wifi-off", "muted", words)
    icon, tone = gate_words.mode_icon(setting.mode), gate_words.mode_tone(setting.mode)
    return GateLook(f"{mode} · {tag}", icon, tone, gate_words.mode_meaning(setting.mode))


class GateControl(QToolButton):
    """A button that says how the gate stands and opens the card."""

    mode_chosen = Signal(object)
    label_chosen = Signal(object)
    place_chosen = Signal(object)
    """A place's id, or ``None`` for none."""
    page_wanted = Signal()

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._themes, self._icons = themes, icons
        self._compact = False
        self.setting = GateSetting()
        self.setFont(themes.fonts.caption)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(16, 16))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.clicked.connect(self.open_card)
        themes.changed.connect(self._draw)
        self._draw()

    def show_setting(self, setting: GateSetting) -> None:
        self.setting = setting
        self._draw()

    def set_compact(self, compact: bool) -> None:
        """Without the label in words, where there is little room."""
        if compact != self._compact:
            self._compact = compact
            self._draw()

    def open_card(self) -> GateCard:
        """The card over the button, with the keyboard in it."""
        card = GateCard(self.setting, self._themes, self)
        card.mode_chosen.connect(self.mode_chosen)
        card.label_chosen.connect(self.label_chosen)
        card.place_chosen.connect(self.place_chosen)
        card.page_wanted.connect(self.page_wanted)
        card.open_over(self)
        return card

    def _draw(self) -> None:
        look = look_of(self.setting)
        self.setIcon(self._icons.icon(look.icon, look.tone))
        self.setText(" " + (look.words.split(" · ")[0] if self._compact else look.words))
        self.setToolTip(look.sentence)
        self.setAccessibleName(_tr("Gate: %1").replace("%1", look.words))
        self.setAccessibleDescription(look.sentence)
        shown = self.setting.mode.value if not self.setting.shut else ""
        if self.property("gate") != shown:
            self.setProperty("gate", shown)
            self.style().unpolish(self)
            self.style().polish(self)


class GateCard(QFrame):
    """The three modes and the four labels; a choice holds at once. Escape or a click elsewhere closes it."""

    mode_chosen = Signal(object)
    label_chosen = Signal(object)
    place_chosen = Signal(object)
    page_wanted = Signal()

    def __init__(self, setting: GateSetting, themes: ThemeStore, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setProperty("kind", "notice")
        self.setAccessibleName(self.tr("Gate of this conversation"))
        self._themes = themes
        self._setting = setting
        self._group = QButtonGroup(self)
        self.modes = {mode: self._mode(mode) for mode in GateMode}
        layout = column(label(self.tr("Gate of this conversation"), themes.fonts.strong), spacing=GRID)
        for mode, choice in self.modes.items():
            meaning = label(gate_words.mode_meaning(mode), themes.fonts.caption, "muted", wrap=True)
            meaning.setContentsMargins(_INDENT, 0, 0, 0)
            layout.addLayout(column(choice, meaning, spacing=0))
        layout.addWidget(frame("line"))
        layout.addLayout(self._labels())
        if setting.places:
            layout.addLayout(self._places())
        layout.addLayout(self._foot())
        layout.setContentsMargins(2 * GRID, 14, 2 * GRID, 12)
        self.setLayout(layout)
        self.setFixedWidth(grown(_WIDTH))
        self._show()

    def open_over(self, anchor: QWidget) -> None:
        """Show it with its lower left corner over the upper left one of ``anchor``, within the window."""
        layout = self.layout()
        assert layout is not None
        layout.activate()
        self.setFixedHeight(layout.totalHeightForWidth(grown(_WIDTH)))
        corner = anchor.mapToGlobal(QPoint(0, -self.height() - HALF))
        home = anchor.window().mapToGlobal(QPoint(GRID, GRID))
        most = home.x() + anchor.window().width() - self.width() - 2 * GRID
        self.move(min(corner.x(), max(most, home.x())), max(corner.y(), home.y()))
        self.show()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.modes[self._setting.mode].setFocus(Qt.FocusReason.PopupFocusReason)

    # Inside.

    def _mode(self, mode: GateMode) -> QRadioButton:
        choice = QRadioButton(gate_words.mode_words(mode))
        choice.setChecked(mode is self._setting.mode)
        choice.setAccessibleDescription(gate_words.mode_meaning(mode))
        self._group.addButton(choice)
        choice.clicked.connect(partial(self._choose_mode, mode))
        return choice

    def _labels(self) -> QVBoxLayout:
        self.labels = ChoiceBar(
            self.tr("Label of this conversation"), [(tag.value, gate_words.label_words(tag)) for tag in Label]
        )
        self.labels.choose(self._setting.own_label.value)
        self.labels.chosen.connect(self._choose_label)
        self._meaning = label("", self._themes.fonts.caption, "muted", wrap=True)
        title = label(self.tr("Label"), self._themes.fonts.strong)
        return column(title, self.labels, self._meaning, spacing=6)

    def _places(self) -> QHBoxLayout:
        self.places = QComboBox()
        self.places.setAccessibleName(self.tr("Workspace or folder of this conversation"))
        self.places.addItem(self.tr("No workspace"), None)
        names = {place.id: place.name for place in self._setting.places}
        for place in self._setting.places:
            above = names.get(place.parent_id or "")
            words = f"{above} › {place.name}" if above else place.name
            self.places.addItem(f"{words} · {gate_words.label_words(place.effective)}", place.id)
        self.places.setCurrentIndex(max(self.places.findData(self._setting.place_id), 0))
        self.places.activated.connect(lambda place: self.place_chosen.emit(self.places.itemData(place)))
        made = row(label(self.tr("Lies in"), self._themes.fonts.caption, "muted"), self.places, spacing=12)
        made.setStretch(1, 1)
        return made

    def _foot(self) -> QHBoxLayout:
        self._note = label("", self._themes.fonts.caption, "warning", wrap=True)
        more = button(self.tr("About the gate…"), self._go, "link")
        made = row(self._note, more)
        made.setStretch(0, 1)
        return made

    def _show(self) -> None:
        setting = self._setting
        words = gate_words.label_meaning(setting.label)
        if setting.label is not setting.own_label:
            words = self.tr("The place that it lies in is %1, so this is too. %2").replace("%2", words)
            words = words.replace("%1", gate_words.label_words(setting.label).lower())
        self._meaning.setText(words)
        forbidden = setting.label is Label.RESTRICTED
        for mode in (GateMode.ASK, GateMode.OPEN):
            self.modes[mode].setEnabled(not forbidden or setting.mode is mode)
        note = ""
        if setting.offline:
            note = self.tr("Gatehouse is offline.")
        elif not setting.providers:
            note = self.tr("No provider is set up yet.")
        self._note.setText(note)

    def _choose_mode(self, mode: GateMode, _checked: bool = False) -> None:
        self._setting = replace(self._setting, mode=mode)
        self._show()
        self.mode_chosen.emit(mode)

    def _choose_label(self, key: str) -> None:
        chosen = Label(key)
        inherited = self._setting.label if self._setting.label is not self._setting.own_label else Label.PUBLIC
        self._setting = replace(self._setting, own_label=chosen, label=strictest((chosen, inherited)))
        self._show()
        self.label_chosen.emit(chosen)

    def _go(self) -> None:
        self.close()
        self.page_wanted.emit()


def _tr(text: str) -> str:
    return QCoreApplication.translate("gate", text)
