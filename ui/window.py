"""The main window: rail, pages, status bar, palette, notices, faults. It is there before the services are.

What a page shows is the page's affair; the window brings it to the front, lends it keys, and keeps its own geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import shiboken6
from PySide6.QtCore import QByteArray, QSize, Qt, Signal, SignalInstance
from PySide6.QtGui import QCloseEvent, QIcon, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QStackedLayout,
    QStackedWidget,
    QWidget,
)

from app.settings import SettingsValues
from ui import shortcuts
from ui.desk import Command, Desk, DocumentPlace, Page
from ui.icons import Icons
from ui.notices import Notices
from ui.page_spec import PageSpec
from ui.palette import Palette
from ui.rail import Rail
from ui.statusbar import StatusBar
from ui.theme import GRID, Appearance, ThemeStore
from ui.widgets.parts import column, row

_FIRST_SIZE = QSize(1180, 760)
_LEAST_SIZE = QSize(720, 480)


class Window(QWidget):
    """One window. ``mount`` gives it services; before that it shows its frame."""

    closing = Signal()
    lock_requested = Signal()

    def __init__(
        self, specs: Sequence[PageSpec], themes: ThemeStore, icons: Icons, values: SettingsValues | None = None
    ) -> None:
        super().__init__()
        self.setObjectName("window")
        self.setWindowTitle("Gatehouse")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._specs = {spec.key: spec for spec in specs}
        self._themes, self._icons = themes, icons
        self._desk: Desk | None = None
        self._pages: dict[str, QWidget] = {}
        self._fault: QWidget | None = None
        self._cover: QWidget | None = None
        self._hidden: list[QWidget] = []
        self._wanted = next(iter(self._specs))
        self._stack = QStackedWidget()
        self._blank = QWidget()
        self._blank.setObjectName("page")
        self._blank.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # else the rail would have a ring at the start
        self._blank.setFocus()
        self._stack.addWidget(self._blank)
        self.status = StatusBar(themes, icons)
        self.rail = Rail([spec for spec in specs if spec.in_rail], themes, icons)
        self.rail.chosen.connect(self.go)
        right = column(self._stack, self.status, spacing=0)
        right.setStretch(0, 1)
        self._frame = QWidget()
        self._frame.setLayout(row(self.rail, right, spacing=0))
        self._layers = QStackedLayout(self)
        self._layers.addWidget(self._frame)
        self.notices = Notices(self, themes, icons, self._clearance)
        self.palette_ = Palette(self, themes, icons)
        self.shortcuts = shortcuts.install(self, self._keys())
        themes.changed.connect(self._colour)
        self._colour()
        self._restore(values or SettingsValues())

    # pages

    def mount(self, desk: Desk) -> None:
        """The services are up: build the wanted page."""
        self._desk = desk
        self.status.mount(desk)
        desk.bridge.notice_raised.connect(self.notices.show_event)
        self.go(self._wanted)

    def go(self, where: str) -> None:
        """Bring a page to the front, built the first time; ``page/section`` also one of its sections."""
        key, _, section = where.partition("/")
        self._wanted = key
        self.rail.show_current(key)
        if self._desk is None:
            return
        page = self._page(key, self._desk)
        self._stack.setCurrentWidget(page)
        self.notices.arrange()
        enter = getattr(page, "enter", None)
        if enter is not None:
            enter()
        show_section: Callable[[str], None] | None = getattr(page, "show_section", None)
        if section and show_section is not None:
            show_section(section)

    def open_place(self, place: DocumentPlace) -> None:
        """Show a place of a document on the Documents page, with a way back to the page that asked."""
        back = self._wanted
        self.go("documents")
        show: Callable[[DocumentPlace, str], None] | None = getattr(self._pages.get("documents"), "open_place", None)
        if show is not None:
            show(place, back)

    def page(self, key: str) -> QWidget | None:
        """A page, if it was built."""
        return self._pages.get(key)

    @property
    def desk(self) -> Desk | None:
        """What the pages were handed, once the services are up."""
        return self._desk

    @property
    def current(self) -> str:
        return self._wanted

    def commands(self) -> list[Command]:
        """Everything that can be done now: the front page's first, then the other pages', then the window's own."""
        if self._desk is None:
            return []
        keys = [self._wanted, *(key for key in self._specs if key != self._wanted)]
        gathered: list[Command] = []
        for key in keys:
            page = self._pages.get(key)
            gathered += self._ahead(self._specs[key]) if page is None else _commands_of(page)
        return gathered + self._own_commands()

    def _ahead(self, spec: PageSpec) -> list[Command]:
        return [
            Command(key, title, spec.title, partial(self._build_and_run, spec.key, key), "", icon)
            for key, title, icon in spec.ahead
        ]

    def _build_and_run(self, page: str, command: str) -> None:
        self.go(page)
        for found in _commands_of(self._pages.get(page)):
            if found.key == command:
                found.run()

    def show_fault(self, page: QWidget | None) -> None:
        """Cover everything with a page about a fault; ``None`` uncovers."""
        if self._fault is not None:
            self._layers.removeWidget(self._fault)
            self._fault.deleteLater()
        self._fault = page
        if page is not None:
            self.palette_.hide()
            self._layers.addWidget(page)
        self._bring_forward()

    def cover(self, page: QWidget | None) -> None:
        """Lock: show nothing but ``page``, whatever comes, and take every key but *Quit* away; ``None`` unlocks."""
        if self._cover is not None:
            self._layers.removeWidget(self._cover)
            self._cover.deleteLater()
        self._cover = page
        for keys, shortcut in self.shortcuts.by_keys.items():
            shortcut.setEnabled(page is None or keys == shortcuts.QUIT)
        self.notices.hold(page is not None)
        if page is not None:
            self._hide_what_floats()
            self._layers.addWidget(page)
        self._bring_forward()
        if page is None:
            for widget in self._hidden:
                if shiboken6.isValid(widget):
                    widget.show()
            self._hidden.clear()

    @property
    def covered(self) -> bool:
        """Whether the window is locked."""
        return self._cover is not None

    def _bring_forward(self) -> None:
        front = self._cover or self._fault or self._frame
        self._layers.setCurrentWidget(front)
        if front is not self._frame:
            front.setFocus()

    def _hide_what_floats(self) -> None:
        """Menus and dialogs go; what lies over the frame (palette, sheets) is hidden until the window opens."""
        for popup in (QApplication.activePopupWidget(), QApplication.activeModalWidget()):
            if popup is not None and popup is not self:
                popup.close()
        self.palette_.hide()
        layered = {self._frame, self._fault}
        for child in self.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            if child not in layered and child.isVisible():
                child.hide()
                self._hidden.append(child)

    def raise_to_front(self) -> None:
        """Show ourselves, as a second start asks."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def _page(self, key: str, desk: Desk) -> QWidget:
        if key not in self._pages:
            page = self._specs[key].make(desk)
            page.setObjectName("page")
            page.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
            self._pages[key] = page
            self._stack.addWidget(page)
            self._follow_gate(page)
        return self._pages[key]

    def _follow_gate(self, page: QWidget) -> None:
        """The status bar says how the gate of the open conversation stands, whatever page is in front."""
        shown: SignalInstance | None = getattr(page, "gate_shown", None)
        if shown is not None:
            shown.connect(self.status.show_gate)

    def _clearance(self) -> int:
        """How much of the foot notices must not cover: the status bar, and where one writes."""
        composer = getattr(self._stack.currentWidget(), "composer", None)
        writing = composer.height() + 2 * GRID if isinstance(composer, QWidget) else 0
        return self.status.height() + writing + GRID

    # building

    def _colour(self) -> None:
        self.setWindowIcon(QIcon(self._icons.pixmap("house", "accent", 64)))

    # keys

    def _keys(self) -> dict[str, Callable[[], object]]:
        keys: dict[str, Callable[[], object]] = {
            shortcuts.PALETTE: lambda: self.palette_.open(self.commands()),
            shortcuts.NEW_CHAT: lambda: self._chat("new_conversation"),
            shortcuts.FIND: self._find,
            shortcuts.FIND_EVERYWHERE: lambda: self._chat("find_everywhere"),
            shortcuts.QUIT: self.close,
            shortcuts.LOCK: self.lock_requested.emit,
            shortcuts.UNDO: self.notices.take_back,
        }
        if "settings" in self._specs:
            keys[shortcuts.SETTINGS] = lambda: self.go("settings")
        for spec, sequence in zip(
            (spec for spec in self._specs.values() if spec.in_rail), shortcuts.PAGES, strict=False
        ):
            keys[sequence] = partial(self.go, spec.key)
        return keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter presses the button that has the keyboard. Qt does that on some desktops only; elsewhere it is ignored
        by the button and arrives here."""
        button = QApplication.focusWidget()
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.isAutoRepeat() and isinstance(button, QAbstractButton) and button.isEnabled():
            button.click()
        else:
            super().keyPressEvent(event)

    def _own_commands(self) -> list[Command]:
        section = self.tr("Go to")
        in_rail = [spec for spec in self._specs.values() if spec.in_rail]
        own = [
            Command(f"go.{spec.key}", spec.title, section, partial(self.go, spec.key), keys, spec.icon)
            for spec, keys in zip(in_rail, shortcuts.PAGES, strict=False)
        ]
        own += [
            Command(f"go.{spec.key}", spec.title, section, partial(self.go, spec.key), "", spec.icon)
            for spec in self._specs.values()
            if not spec.in_rail
        ]
        looks: tuple[tuple[Appearance, str, str], ...] = (
            ("light", self.tr("Light appearance"), "sun"),
            ("dark", self.tr("Dark appearance"), "moon"),
            ("system", self.tr("Appearance as the system has it"), "monitor"),
        )
        own += [
            Command(f"look.{look}", title, self.tr("Appearance"), partial(self._look, look), "", icon)
            for look, title, icon in looks
        ]
        lock = Command(
            "lock", self.tr("Lock Gatehouse"), self.tr("Window"), self.lock_requested.emit, shortcuts.LOCK, "lock"
        )
        quit_ = Command("quit", self.tr("Quit Gatehouse"), self.tr("Window"), self.close, shortcuts.QUIT, "power-off")
        return [*own, lock, quit_]

    def _look(self, appearance: Appearance) -> None:
        self._themes.set_appearance(appearance)
        self.keep_setting(appearance=appearance)

    def keep_setting(self, **changes: object) -> None:
        """Store settings; a disk that refuses is a notice."""
        if self._desk is None:
            return
        try:
            self._desk.services.settings.update(**changes)
        except OSError as error:
            self.notices.show("warning", self.tr("The settings could not be saved."), error.strerror or "")

    def _find(self) -> None:
        find = getattr(self._pages.get(self._wanted), "open_find", None)
        if find is not None:
            find()

    def _chat(self, name: str) -> None:
        self.go("chat")
        run = getattr(self._pages.get("chat"), name, None)
        if run is not None:
            run()

    # geometry and closing

    def geometry_text(self) -> str:
        """The geometry as settings keep it."""
        return bytes(self.saveGeometry().toBase64().data()).decode("ascii")

    def _restore(self, values: SettingsValues) -> None:
        self.setMinimumSize(_LEAST_SIZE)
        kept = QByteArray.fromBase64(values.window_geometry.encode("ascii", "ignore"))
        if kept.isEmpty() or not self.restoreGeometry(kept):
            self.resize(_FIRST_SIZE)
        if values.window_page in self.rail.buttons:
            self._wanted = values.window_page

    def closeEvent(self, event: QCloseEvent) -> None:
        page = self._wanted if self._wanted in self.rail.buttons else ""
        self.keep_setting(window_geometry=self.geometry_text(), window_page=page)
        self.closing.emit()
        event.accept()


def _commands_of(page: QWidget | None) -> Sequence[Command]:
    gather: Callable[[], Sequence[Command]] | None = getattr(page, Page.commands.__name__, None)
    return gather() if gather is not None else ()
