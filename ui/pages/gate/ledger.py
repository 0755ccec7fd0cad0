"""The ledger: every request that left, what became of it, and whether the record is whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QLineEdit,
    QScrollArea,
    QStackedWidget,
    QWidget,
)

from app.chat.records import Conversation
from app.events import LedgerGrew
from app.gate.records import LedgerCheck, LedgerPage
from engine.errors import GatehouseError
from ui import display, gate_words
from ui.desk import Desk
from ui.models.ledger_table import Column, LedgerFilter, LedgerTable, Request, details_of
from ui.theme import GRID
from ui.widgets.nothing import NothingView
from ui.widgets.parts import button, column, label, row, set_kind
from ui.widgets.plain_table import PlainTable
from ui.widgets.records_table import RECORD
from ui.widgets.side_by_side import SideBySide

_WIDTHS = {
    Column.WHEN: 156,
    Column.PURPOSE: 124,
    Column.LABEL: 92,
    Column.SENT: 76,
    Column.RECEIVED: 80,
    Column.COST: 76,
    Column.OUTCOME: 108,
}
_GIVEN_UP = (Column.RECEIVED, Column.PURPOSE, Column.LABEL, Column.COST, Column.SENT)
_BESIDE = 336
_PAGE = 200


class LedgerView(QWidget):
    """A table at the left, one request at the right."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._gate = desk, desk.services.gate
        self._before: int | None = None
        self._titles: dict[str, str] = {}
        self.verdict: LedgerCheck | None = None
        """What the last verification found."""
        self._loaded = False
        fonts = desk.themes.fonts
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("Filter"))
        self.field.setAccessibleName(self.tr("Filter the ledger"))
        self.field.setClearButtonEnabled(True)
        self.field.textChanged.connect(self._filter_changed)
        self.purpose = QComboBox()
        self.purpose.setAccessibleName(self.tr("Why it left"))
        self.purpose.addItem(self.tr("Everything"), "")
        for key in ("answer", "test", "hub", "download"):
            self.purpose.addItem(gate_words.purpose_words(key), key)
        self.purpose.currentIndexChanged.connect(self._filter_changed)
        self.verify_button = button(self.tr("Verify"), self.verify)
        self.verify_button.setToolTip(self.tr("Check that no row was changed or taken away"))
        export = button(self.tr("Export…"), self.choose_file)
        self._model = LedgerTable(desk.themes, self)
        self._filter = LedgerFilter(self)
        self._filter.setSourceModel(self._model)
        self.view = PlainTable(
            self._filter, fonts.caption, stretch=Column.WHOM, least=180, widths=_WIDTHS, given_up=_GIVEN_UP
        )
        self.view.setAccessibleName(self.tr("Requests that left this machine"))
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(Column.WHEN, Qt.SortOrder.DescendingOrder)
        self.view.selectionModel().currentRowChanged.connect(self._chosen)
        self.nothing = NothingView(desk.themes, desk.icons)
        self._pile = QStackedWidget()
        self._pile.addWidget(self.nothing)
        self._pile.addWidget(self.view)
        self._more = button(self.tr("Load earlier requests"), self._load_more, "link")
        self._count = label("", fonts.caption, "muted")
        self._result = self._build_result()
        head = row(self.field, self.purpose, None, self.verify_button, export)
        head.setStretch(0, 2)
        lines = column(head, self._result, self._pile, row(self._count, None, self._more), spacing=12)
        lines.setStretch(2, 1)
        left = QWidget()
        left.setLayout(lines)
        self.detail = self._build_detail()
        self.setLayout(column(SideBySide(left, self.detail, _BESIDE)))
        desk.bridge.ledger_grew.connect(self._grew)
        self.nothing.tell("scroll-text", self.tr("Reading the ledger…"))
        self._more.hide()

    def enter(self) -> None:
        self._desk.bridge.call(self._desk.services.chat.conversations, self._show_titles, owner=self)
        self.refresh()

    def open_find(self) -> None:
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()

    def refresh(self) -> None:
        """Read the latest page again."""
        self._desk.bridge.call(lambda: self._gate.ledger(None, _PAGE), self._show_page, self._failed, owner=self)

    def verify(self) -> None:
        """Check the chain, and say what was found."""
        self.verify_button.setEnabled(False)
        self._say("card", self.tr("Checking every row…"), "")
        self._desk.bridge.call(self._gate.verify_ledger, self._show_check, self._verify_failed, owner=self)

    def choose_file(self) -> None:
        """Ask where to; the dialog does not block."""
        dialog = QFileDialog(
            self, self.tr("Export the ledger"), "gatehouse-ledger.jsonl", self.tr("JSON lines (*.jsonl)")
        )
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.export(Path(path)))
        dialog.open()

    def export(self, path: Path) -> None:
        def done(count: int) -> None:
            words = self.tr("%1 rows were written to %2.").replace("%1", display.integer(count))
            self._desk.notices.show("success", words.replace("%2", str(path)))

        self._desk.bridge.call(lambda: self._gate.export_ledger(path), done, self._told, owner=self)

    @property
    def result(self) -> str:
        """What verifying said."""
        return self._sentence.text() if not self._result.isHidden() else ""

    # Showing.

    def _show_page(self, page: LedgerPage) -> None:
        self._loaded = True
        kept = self._current()
        self._model.show_rows(page.rows)
        self._before = page.before
        self._show_rows(page.total)
        self._select(kept)

    def _show_rows(self, total: int) -> None:
        shown, known = self._filter.rowCount(), self._model.rowCount()
        words = self.tr("1 request") if total == 1 else self.tr("%1 requests").replace("%1", display.integer(total))
        if shown < known:
            words = self.tr("%1 of %2").replace("%1", display.integer(shown)).replace("%2", words)
        self._count.setText(words if total else "")
        self._more.setVisible(self._before is not None)
        if not known:
            self.nothing.tell(
                "scroll-text",
                self.tr("0 bytes left this machine."),
                self.tr("The first request that leaves will stand here, before its first byte does."),
            )
        elif not shown:
            self.nothing.tell(
                "search", self.tr("No request passes this filter."), action=(self.tr("Show all"), self._clear)
            )
        self._pile.setCurrentWidget(self.view if shown else self.nothing)
        self.detail.setVisible(bool(shown))

    def _load_more(self) -> None:
        before = self._before

        def show(page: LedgerPage) -> None:
            kept = self._current()
            self._model.add(page.rows)
            self._before = page.before
            self._show_rows(page.total)
            self._select(kept)

        self._desk.bridge.call(lambda: self._gate.ledger(before, _PAGE), show, self._told, owner=self)

    def _grew(self, event: LedgerGrew) -> None:
        if self._loaded:
            kept = self._current()
            self._model.add([event.row])
            self._show_rows(max(self._model.rowCount(), 1))
            self._select(kept)

    def _show_titles(self, conversations: Sequence[Conversation]) -> None:
        self._titles = {found.id: found.title for found in conversations}
        self._filter.set_titles(self._titles)
        self._show_detail(self._current())

    def _show_check(self, check: LedgerCheck) -> None:
        self.verdict = check
        self.verify_button.setEnabled(True)
        head = self.tr("Its seal now: %1. Write it down elsewhere to find a ledger that was cut.").replace(
            "%1", check.head[:16]
        )
        if check.intact:
            self._say("success", check.sentence, head if check.head else "")
        else:
            where = self.tr("Row %1 is the first that is not what was written.").replace("%1", str(check.bad_seq))
            self._say("danger", check.sentence, where if check.bad_seq is not None else "")

    def _verify_failed(self, error: GatehouseError) -> None:
        self.verify_button.setEnabled(True)
        self._say("danger", error.sentence, error.hint)

    def _failed(self, error: GatehouseError) -> None:
        self.nothing.tell("triangle-alert", error.sentence, error.hint, (self.tr("Try again"), self.refresh), "warning")
        self._pile.setCurrentWidget(self.nothing)
        self.detail.hide()

    def _told(self, error: GatehouseError) -> None:
        self._desk.notices.show("error", error.sentence, error.hint)

    def _say(self, kind: str, sentence: str, hint: str) -> None:
        set_kind(self._result, kind)
        self._sentence.setText(sentence)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self._result.setAccessibleName(f"{sentence} {hint}".strip())
        self._result.show()

    # The row that is chosen.

    def _current(self) -> Request | None:
        found = self.view.currentIndex().data(RECORD)
        return found if isinstance(found, Request) else None

    def _select(self, kept: Request | None) -> None:
        wanted = 0
        for place in range(self._filter.rowCount()):
            found = self._filter.index(place, 0).data(RECORD)
            if kept is not None and isinstance(found, Request) and found.begun.request_id == kept.begun.request_id:
                wanted = place
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.view.selectionModel().setCurrentIndex(self._filter.index(wanted, 0), flags)
        self._show_detail(self._current())

    def _chosen(self, _current: QModelIndex, _before: QModelIndex) -> None:
        self._show_detail(self._current())

    def _show_detail(self, request: Request | None) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        if request is None:
            return
        fonts = self._desk.themes.fonts
        for number, (name, value) in enumerate(details_of(request, self._titles)):
            self._grid.addWidget(label(name, fonts.caption, "muted"), number, 0, Qt.AlignmentFlag.AlignTop)
            shown = label(_foldable(value), fonts.caption, wrap=True)
            shown.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            shown.setAccessibleName(f"{name}: {value}")
            self._grid.addWidget(shown, number, 1, Qt.AlignmentFlag.AlignTop)

    def _filter_changed(self) -> None:
        kept = self._current()
        self._filter.set_filter(self.field.text(), self.purpose.currentData())
        self._show_rows(self._model.rowCount())
        self._select(kept)

    def _clear(self) -> None:
        self.field.clear()
        self.purpose.setCurrentIndex(0)

    # Building.

    def _build_result(self) -> QFrame:
        self._sentence = label("", wrap=True)
        self._hint = label("", self._desk.themes.fonts.caption, "muted", wrap=True)
        made = QFrame()
        made.setLayout(column(self._sentence, self._hint, spacing=2, margin=12))
        made.hide()
        return made

    def _build_detail(self) -> QScrollArea:
        inner = QWidget()
        inner.setObjectName("page")
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(2 * GRID)
        self._grid.setVerticalSpacing(GRID)
        self._grid.setColumnStretch(1, 1)
        whole = column(label(self.tr("Request"), self._desk.themes.fonts.strong), spacing=12)
        whole.addLayout(self._grid)
        whole.addStretch(1)
        inner.setLayout(whole)
        made = QScrollArea()
        made.setWidgetResizable(True)
        made.setFrameShape(QFrame.Shape.NoFrame)
        made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        made.setAccessibleName(self.tr("The chosen request"))
        made.setWidget(inner)
        return made


def _foldable(value: str) -> str:
    """Long hashes may break anywhere."""
    if len(value) < 40 or " " in value:
        return value
    return "\u200b".join(value[place : place + 8] for place in range(0, len(value), 8))
