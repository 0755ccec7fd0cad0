"""The left of the Chat page: search, *New chat*, and the list of conversations or of hits."""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QLineEdit, QListView, QMenu, QPushButton, QStackedWidget

from app.chat.records import Conversation, SearchHit
from ui.icons import Icons
from ui.models.conversations import CONVERSATION, ConversationModel
from ui.models.search_hits import HIT, SearchHitModel
from ui.pages.chat.rows import ConversationRows, HitRows
from ui.shortcuts import FIND_EVERYWHERE, NEW_CHAT, in_words
from ui.theme import GRID, ThemeStore
from ui.widgets.parts import column, label, row

WIDTH = 264
_SEARCH_AFTER_MS = 120
_MINUTE_MS = 60_000


class Sidebar(QFrame):
    """Asks by signals; holds no service."""

    chosen = Signal(str)
    hit_chosen = Signal(str, str)
    """Conversation, and message or nothing."""
    new_wanted = Signal()
    search_wanted = Signal(str)
    renamed = Signal(str, str)
    pin_wanted = Signal(str, bool)
    delete_wanted = Signal(str)
    prompt_wanted = Signal(str)

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._themes, self._icons = themes, icons
        self.setProperty("kind", "side")
        self.setMinimumWidth(200)
        self.setAccessibleName(self.tr("Conversations"))
        self.model = ConversationModel(self)
        self.hits = SearchHitModel(self)
        self._current = ""
        self._restoring = False
        self.search = self._make_search()
        self.new = QPushButton(self.tr("New chat"))
        self.new.setToolTip(f"{self.tr('New chat')} ({in_words(NEW_CHAT)})")
        self.new.setIconSize(QSize(18, 18))
        self.new.clicked.connect(self.new_wanted)
        self.list = self._make_list(self.model, ConversationRows(themes, icons, self), self.tr("Conversations"))
        self.list.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._open_menu)
        self.list.selectionModel().currentChanged.connect(self._row_changed)
        self.results = self._make_list(self.hits, HitRows(themes, self), self.tr("Search results"))
        self.results.activated.connect(self._hit_activated)
        self.results.clicked.connect(self._hit_activated)
        self._nothing = label("", themes.fonts.body, "muted", wrap=True)
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter)
        self._nothing.setMargin(3 * GRID)
        self._pile = QStackedWidget()
        for part in (self.list, self.results, self._nothing):
            self._pile.addWidget(part)
        top = column(row(self.new), self.search, spacing=GRID)
        top.setContentsMargins(12, 12, 12, 4)
        layout = column(top, self._pile, spacing=0)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self._typing = QTimer(self, singleShot=True, interval=_SEARCH_AFTER_MS)
        self._typing.timeout.connect(self._search)
        self.search.textChanged.connect(lambda _text: self._typing.start())
        self.model.renamed.connect(self.renamed)
        self.model.modelReset.connect(self._restore_current)
        self._minute = QTimer(self, interval=_MINUTE_MS)
        self._minute.timeout.connect(lambda: self.model.tell_time(time.time()))
        self._minute.start()
        themes.changed.connect(self._colour)
        self._colour()
        self._show_list()

    # What the page calls.

    def show_conversations(self, conversations: Sequence[Conversation]) -> None:
        self.model.show_all(conversations, time.time())
        self._show_list()

    def put(self, conversation: Conversation) -> None:
        self.model.put(conversation, time.time())
        self._show_list()

    def remove(self, conversation_id: str) -> None:
        self.model.remove(conversation_id, time.time())
        self._show_list()

    def set_current(self, conversation_id: str) -> None:
        """Mark the open conversation; empty for a new one."""
        self._current = conversation_id
        self._restore_current()

    def show_hits(self, words: str, hits: Sequence[SearchHit]) -> None:
        """Answer of a search, unless something else was typed meanwhile."""
        if words != self.search.text().strip():
            return
        self.hits.show_hits(hits, time.time())
        if hits:
            self._pile.setCurrentWidget(self.results)
        else:
            self._say(self.tr("Nothing found for “%1”.").replace("%1", words))

    @property
    def saying(self) -> str:
        """What stands in place of a list."""
        return self._nothing.text() if self._pile.currentWidget() is self._nothing else ""

    def begin_search(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def begin_rename(self, conversation_id: str = "") -> None:
        index = self.model.index_of(conversation_id or self._current)
        if index.isValid():
            self.search.clear()
            self._show_list()
            self.list.setFocus()
            self.list.setCurrentIndex(index)
            self.list.edit(index)

    # Inside.

    def _make_search(self) -> QLineEdit:
        field = QLineEdit()
        field.setPlaceholderText(self.tr("Search all chats"))
        field.setClearButtonEnabled(True)
        field.setAccessibleName(self.tr("Search all chats"))
        field.setToolTip(f"{self.tr('Search all chats')} ({in_words(FIND_EVERYWHERE)})")
        field.installEventFilter(self)
        self._lens = field.addAction(self._icons.icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self._lens.setText(field.accessibleName() or self.tr("Search"))
        self._lens.setToolTip(self._lens.text())
        return field

    def _make_list(
        self, model: ConversationModel | SearchHitModel, rows: ConversationRows | HitRows, name: str
    ) -> QListView:
        view = QListView()
        view.setModel(model)
        view.setItemDelegate(rows)
        view.setFrameShape(QFrame.Shape.NoFrame)
        view.setAccessibleName(name)
        view.setMouseTracking(True)
        view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setStyleSheet("QListView, QListView::item, QListView::item:hover, QListView::item:selected"
                           " { background: transparent; }")  # fmt: skip
        view.installEventFilter(self)
        return view

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress:
            if watched is self.search:
                return self._search_key(event)
            if watched is self.list and self.list.state() is not QListView.State.EditingState:
                return self._list_key(event)
        return super().eventFilter(watched, event)

    def _search_key(self, event: QKeyEvent) -> bool:
        if event.key() == Qt.Key.Key_Escape and self.search.text():
            self.search.clear()
            return True
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return) and self._pile.currentWidget() is self.results:
            self.results.setFocus()
            if not self.results.currentIndex().isValid():
                self.results.setCurrentIndex(self.hits.index(0, 0))
            return True
        if event.key() == Qt.Key.Key_Down and self._pile.currentWidget() is self.list:
            self.list.setFocus()
            return True
        return False

    def _list_key(self, event: QKeyEvent) -> bool:
        conversation = self._at(self.list.currentIndex())
        if conversation is None:
            return False
        if event.key() == Qt.Key.Key_F2:
            self.list.edit(self.list.currentIndex())
        elif event.matches(QKeySequence.StandardKey.Delete) or event.key() == Qt.Key.Key_Backspace:
            self.delete_wanted.emit(conversation.id)
        else:
            return False
        return True

    def _row_changed(self, now: QModelIndex, _before: QModelIndex) -> None:
        conversation = self._at(now)
        if conversation is not None and not self._restoring and conversation.id != self._current:
            self._current = conversation.id
            self.chosen.emit(conversation.id)

    def _hit_activated(self, index: QModelIndex) -> None:
        hit = index.data(HIT)
        if isinstance(hit, SearchHit):
            self.hit_chosen.emit(hit.conversation_id, hit.message_id or "")

    def _open_menu(self, at: QPoint) -> None:
        conversation = self._at(self.list.indexAt(at))
        if conversation is not None:
            self.open_menu(conversation.id, self.list.viewport().mapToGlobal(at))

    def open_menu(self, conversation_id: str, at: QPoint) -> None:
        """What can be done with a conversation; nothing while it does not exist."""
        conversation = self.model.conversation(conversation_id)
        if conversation is not None:
            menu = QMenu(self)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self.fill_menu(menu, conversation)
            menu.popup(at)

    def fill_menu(self, menu: QMenu, conversation: Conversation) -> None:
        """What can be done with a conversation."""
        icons, key = self._icons, conversation.id
        pin = self.tr("Unpin") if conversation.pinned else self.tr("Pin")
        menu.addAction(
            icons.icon("pin-off" if conversation.pinned else "pin"),
            pin,
            lambda: self.pin_wanted.emit(key, not conversation.pinned),
        )
        menu.addAction(icons.icon("pencil"), self.tr("Rename"), lambda: self.begin_rename(key)).setShortcut("F2")
        menu.addAction(
            icons.icon("sliders-horizontal"), self.tr("System prompt…"), lambda: self.prompt_wanted.emit(key)
        )
        menu.addSeparator()
        menu.addAction(icons.icon("trash-2"), self.tr("Delete"), lambda: self.delete_wanted.emit(key)).setShortcut(
            "Del"
        )

    def _at(self, index: QModelIndex) -> Conversation | None:
        found = index.data(CONVERSATION) if index.isValid() else None
        return found if isinstance(found, Conversation) else None

    def _restore_current(self) -> None:
        self._restoring = True
        index = self.model.index_of(self._current)
        if index.isValid():
            self.list.setCurrentIndex(index)
        else:
            self.list.selectionModel().clear()
        self._restoring = False

    def _search(self) -> None:
        words = self.search.text().strip()
        if words:
            self.search_wanted.emit(words)
        else:
            self._show_list()

    def _show_list(self) -> None:
        if self.search.text().strip():
            return
        if len(self.model):
            self._pile.setCurrentWidget(self.list)
        else:
            self._say(self.tr("Your conversations will be listed here. They are kept on this machine."))

    def _say(self, words: str) -> None:
        self._nothing.setText(words)
        self._pile.setCurrentWidget(self._nothing)

    def _colour(self) -> None:
        self.new.setIcon(self._icons.icon("plus", "text"))
        self._lens.setIcon(self._icons.icon("search", "faint"))
        self.list.viewport().update()
        self.results.viewport().update()
