"""Going through one file's values: the page on the left, the values on the right, a key for each decision.

Which file that is and what comes after it is the page's; reading and keeping decisions is ``app.documents``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QApplication, QLineEdit, QSplitter, QWidget

from app.documents.batch_records import BatchFile
from app.documents.records import Box
from app.documents.review_records import Result, ReviewedValue
from app.events import ValueChanged
from engine.errors import GatehouseError
from ui.desk import Desk
from ui.pages.documents.evidence import EvidenceView
from ui.pages.documents.labels import LabelButton
from ui.pages.documents.sheet import SheetView
from ui.theme import GRID, grown
from ui.widgets.choice_bar import ChoiceBar
from ui.widgets.nothing import NothingView
from ui.widgets.parts import ElidedLabel, button, column, frame, label, row
from ui.widgets.value_list import ValueList

_VALUES_WIDTH = 42 * GRID
_LEAST_VALUES, _LEAST_SHEET = 42 * GRID, 34 * GRID


class ReviewView(QWidget):
    """One file at a time."""

    file_done = Signal(str)
    """Nothing of this file needs a look any more."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._documents = desk, desk.services.documents
        self._file: BatchFile | None = None
        self._wanted = ""
        fonts = desk.themes.fonts
        self.sheet = SheetView(desk)
        self.values = ValueList(desk.themes, desk.icons)
        self.evidence = EvidenceView(desk)
        self.name = ElidedLabel(fonts.title)
        self.tag = LabelButton(desk)
        self.progress = label("", fonts.caption, "muted")
        self.order = ChoiceBar(
            self.tr("Order of the values"),
            [("doubt", self.tr("By doubt")), ("document", self.tr("By place"))],
        )
        self.order.chosen.connect(lambda key: self._sort(key == "doubt"))
        self.accept_all = button(self.tr("Accept the rest"), self.accept_rest, "quiet")
        self.undo_button = button(self.tr("Undo"), self.undo, "quiet")
        self.nothing = NothingView(desk.themes, desk.icons)
        self.password = QLineEdit()
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.password.setPlaceholderText(self.tr("Password of the file"))
        self.password.setAccessibleName(self.tr("Password of the file"))
        self.password.setFixedWidth(grown(30 * GRID))
        self.password.returnPressed.connect(self._unlock)
        self.nothing.add_below(self.password)
        self._connect()
        side = frame("side")
        side.setLayout(self._build_side())
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.sheet)
        self.splitter.addWidget(side)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setSizes([10_000, grown(_VALUES_WIDTH)])
        side.setMinimumWidth(grown(_LEAST_VALUES))
        self.sheet.setMinimumWidth(_LEAST_SHEET)
        self.setLayout(column(self.splitter, self.nothing, spacing=0))
        self.show_file(None)

    # which file

    @property
    def file(self) -> BatchFile | None:
        return self._file

    @property
    def result(self) -> Result | None:
        """What is shown, once it is there."""
        return self.values.values.result

    def show_file(self, file: BatchFile | None, name: str = "") -> None:
        """Another file; ``name`` is the value that is meant first, else the one most in doubt."""
        self._file, self._wanted = file, name
        self.password.clear()
        self.password.hide()
        self.values.values.show_result(None)
        self.sheet.show_document(None)
        self.evidence.show_value(None)
        if file is None:
            self._tell("file-stack", self.tr("No file is chosen."), self.tr("Choose one on the left."))
            return
        self.name.setText(file.name)
        if file.document_id is None or not file.state.is_ended or file.state != "done":
            self._show_state(file)
            return
        self._desk.bridge.call(
            lambda: self._documents.result(file.id), partial(self._show, file.id), self._fail, owner=self
        )

    def follow(self, file: BatchFile) -> None:
        """The file came further."""
        if self._file is None or file.id != self._file.id:
            return
        if file.state != self._file.state:
            self.show_file(file)
        else:
            self._file = file

    def _show(self, file_id: str, result: Result) -> None:
        if self._file is None or self._file.id != file_id:
            return
        self.nothing.hide()
        self.splitter.show()
        self.values.values.show_result(result)
        self.sheet.show_document(result.document, result.values)
        self.tag.show_document(result.document)
        self._count()
        if self._wanted and self.values.values.row_of(self._wanted) is not None:
            self.values.choose(self._wanted)
        else:
            self.values.choose_first()
        self.values.setFocus()

    def _show_state(self, file: BatchFile) -> None:
        """Why there is nothing to look at."""
        words = {
            "waiting": self.tr("%1 waits for its turn."),
            "reading": self.tr("%1 is being read."),
            "extracting": self.tr("The model looks for the values of %1."),
            "cancelled": self.tr("%1 was cancelled."),
        }.get(file.state, "")
        if words:
            self._tell("file-text", words.replace("%1", file.name))
        elif file.state == "needs_password":
            why = f"{file.sentence or self.tr('It needs a password.')} {file.hint}".strip()
            self._tell("lock", file.name, why, "warning", (self.tr("Open it"), self._unlock))
            self.password.show()
        else:
            why = f"{file.sentence} {file.hint}".strip()
            again = (self.tr("Try again"), partial(self._try_again, file))
            self._tell("triangle-alert", file.name, why, "warning", again)

    def _tell(
        self,
        icon: str,
        sentence: str,
        hint: str = "",
        tone: str = "faint",
        action: tuple[str, Callable[[], object]] | None = None,
    ) -> None:
        held = self.splitter.isAncestorOf(QApplication.focusWidget() or self)
        self.splitter.hide()
        self.nothing.tell(icon, sentence, hint, action, tone)
        if held:
            self.nothing.setFocus()  # what had the keyboard is hidden now

    def _try_again(self, file: BatchFile) -> None:
        self._desk.bridge.call(lambda: self._documents.retry(file.batch_id, (file.id,)), owner=self)

    def _unlock(self) -> None:
        file, words = self._file, self.password.text()
        if file is not None and words:
            self.password.clear()
            self._desk.bridge.call(lambda: self._documents.give_password(file.id, words), owner=self)

    def _fail(self, error: GatehouseError) -> None:
        self._tell("triangle-alert", error.sentence, error.hint, "warning")

    # decisions

    def accept(self, name: str) -> None:
        self._decide(lambda file_id: self._documents.accept(file_id, name))

    def correct(self, name: str, text: str) -> None:
        self._decide(lambda file_id: self._documents.correct(file_id, name, text))

    def say_absent(self, name: str) -> None:
        self._decide(lambda file_id: self._documents.mark_absent(file_id, name))

    def take_box(self, page: int, box: Box) -> None:
        """Take the current value from a box that was drawn."""
        value = self.values.current
        if value is not None:
            self._decide(lambda file_id: self._documents.take_box(file_id, value.name, page, box))

    def accept_rest(self) -> None:
        """Accept whatever nobody decided about; one step for undo."""
        file = self._file
        if file is not None:
            self._desk.bridge.call(
                lambda: self._documents.accept_all(file.id), partial(self._put, file.id, False), owner=self
            )

    def undo(self) -> None:
        """Take the last decision about this file back."""
        file = self._file
        if file is not None:
            self._desk.bridge.call(
                lambda: self._documents.undo(file.id), partial(self._taken_back, file.id), owner=self
            )

    def _decide(self, make: Callable[[str], Coroutine[Any, Any, ReviewedValue]]) -> None:
        file = self._file
        if file is not None:
            self._desk.bridge.call(
                lambda: make(file.id), lambda value: self._put(file.id, True, (value,)), self._refuse, owner=self
            )

    def _put(self, file_id: str, go_on: bool, changed: Sequence[ReviewedValue]) -> None:
        if self._file is None or self._file.id != file_id:
            return
        self.values.values.put(changed)
        self._count()
        if go_on and self.values.choose_next_doubtful():
            return
        self._show_current()
        if not self.values.values.doubtful_count:
            self.file_done.emit(file_id)

    def _taken_back(self, file_id: str, changed: Sequence[ReviewedValue]) -> None:
        if self._file is None or self._file.id != file_id or not changed:
            return
        self.values.values.put(changed)
        self._count()
        self.values.choose(changed[-1].name)
        self._show_current()

    def _refuse(self, error: GatehouseError) -> None:
        self._desk.notices.show("warning", error.sentence, error.hint)

    def _changed_elsewhere(self, event: ValueChanged) -> None:
        if self._file is not None and event.file_id == self._file.id:
            self.values.values.put((event.value,))
            self._count()
            self._show_current()

    # showing

    def _show_current(self) -> None:
        value = self.values.current
        self.evidence.show_value(value)
        result = self.result
        if result is not None:
            self.sheet.show_values(result.values, value.name if value is not None else "")

    def _count(self) -> None:
        left = self.values.values.doubtful_count
        total = self.values.values.rowCount()
        if left:
            words = self.tr("%1 of %2 values need a look").replace("%1", str(left)).replace("%2", str(total))
        else:
            words = self.tr("nothing is left to check")
        self.progress.setText(words)

    def _sort(self, by_doubt: bool) -> None:
        current = self.values.current
        self.values.values.sort_by_doubt(by_doubt)
        if current is not None:
            self.values.choose(current.name)
        self.values.setFocus()

    def _connect(self) -> None:
        values = self.values
        values.current_changed.connect(lambda _name: self._show_current())
        values.accepted.connect(self.accept)
        values.corrected.connect(self.correct)
        values.absent.connect(self.say_absent)
        values.box_wanted.connect(lambda _name: self.sheet.draw_box())
        values.undo_wanted.connect(self.undo)
        values.rest_wanted.connect(self.accept_rest)
        values.turn_wanted.connect(self.sheet.turn)
        self.sheet.mark_clicked.connect(values.choose)
        self.sheet.box_drawn.connect(self.take_box)
        self.evidence.accepted.connect(self.accept)
        self.evidence.corrected.connect(self.correct)
        self.evidence.correct_wanted.connect(values.correct)
        self.evidence.absent.connect(self.say_absent)
        self.evidence.box_wanted.connect(self.sheet.draw_box)
        self._desk.bridge.value_changed.connect(self._changed_elsewhere)

    def _build_side(self) -> Any:
        title = row(self.name, self.tag)
        title.setStretch(0, 1)
        head = column(title, row(self.progress, None, self.undo_button), row(self.order, None, self.accept_all))
        head.setContentsMargins(2 * GRID, GRID, 2 * GRID, GRID)
        whole = column(head, self.values, self.evidence, spacing=0)
        whole.setStretch(1, 1)
        return whole
