"""The sheet: left what was written, right exactly what would leave, and the three things to do about it.

A panel over the page, not a box that stops the window. It shows a preview and asks by signals; nothing here sends,
scans or decides. ``ui.pages.chat.gate`` carries it.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QBoxLayout, QComboBox, QFrame, QProgressBar, QStackedWidget, QWidget

from app.gate.records import Preview, PreviewChange, Provider, Redaction
from engine.errors import GatehouseError
from ui import display
from ui.icons import Icons
from ui.shortcuts import in_words
from ui.theme import GRID, ThemeStore
from ui.widgets.choice_bar import ChoiceBar
from ui.widgets.gate_chips import RedactionChips
from ui.widgets.gate_edit import OutgoingEdit
from ui.widgets.gate_facts import FactsLine
from ui.widgets.gate_refusal import RefusalFrame, step_of
from ui.widgets.gate_texts import TextPane, leaving, marks_leaving, marks_written, written
from ui.widgets.icon_button import IconButton
from ui.widgets.nothing import NothingView
from ui.widgets.parts import button, column, frame, label, row

SEND = "Ctrl+Enter"
_NARROW = 720
"""Below this the two texts stand one above the other."""


class GateSheet(QFrame):
    """``show_waiting``, then ``show_preview`` or ``show_trouble``."""

    sent = Signal(str, str)
    """The preview's id and the hash of the bytes that were agreed to."""
    changed = Signal(object)
    """A ``PreviewChange``."""
    stayed = Signal()
    again = Signal()
    step_wanted = Signal(str)
    """A key of ``gate_refusal.Step``: the way out of a refusal."""

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("kind", "sheet")
        self.setAccessibleName(self.tr("Ask the cloud"))
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._themes, self._icons = themes, icons
        self.preview: Preview | None = None
        self._providers: tuple[Provider, ...] = ()
        self._busy = False
        self._barred = False
        """Something failed since the preview was made: nothing leaves before another look."""
        self.provider = QComboBox()
        self.provider.setAccessibleName(self.tr("Who is asked"))
        self.provider.setMinimumWidth(30 * GRID)
        self.provider.activated.connect(self._choose_provider)
        self.facts = FactsLine(themes)
        self.left = TextPane(themes, self.tr("What was written"))
        self.right = TextPane(themes, self.tr("What would leave"))
        self.shown = ChoiceBar(
            self.tr("How to show what would leave"), [("words", self.tr("Words")), ("bytes", self.tr("Exact bytes"))]
        )
        self.shown.chosen.connect(lambda _key: self._show_right())
        self.edit = OutgoingEdit(themes)
        self.edit.taken.connect(self.changed)
        self.edit.closed.connect(self._end_edit)
        self.chips = RedactionChips(themes, icons)
        self.chips.model_.toggled.connect(self._toggle)
        self.chips.pointed.connect(self._point_out)
        self._nothing_hidden = label("", themes.fonts.caption, "muted", wrap=True)
        self._hidden_title = label(self.tr("Hidden"), themes.fonts.caption, "muted")
        self._warnings = label("", themes.fonts.caption, "muted", wrap=True)
        self.refusal = RefusalFrame(themes)
        self.refusal.step_wanted.connect(self._take_step)
        self.send = button("", self._send, "outside")
        self.edit_button = button(self.tr("Edit…"), self._begin_edit)
        self.stay = button(self.tr("Stay local"), self.stayed.emit)
        self.stay.setToolTip(self.tr("Nothing leaves (%1)").replace("%1", in_words("Esc")))
        self.send.setToolTip(in_words(SEND))
        self._waiting = self._build_waiting()
        self.trouble = NothingView(themes, icons)
        self._body = self._build_body()
        self._pile = QStackedWidget()
        for page in (self._waiting, self.trouble, self._body):
            self._pile.addWidget(page)
        whole = column(self._build_head(), self._pile, self._build_foot(), spacing=12)
        whole.setStretch(1, 1)
        whole.setContentsMargins(20, 14, 20, 14)
        self.setLayout(whole)
        self._follow_scrolling()
        for keys in (SEND, "Ctrl+Return"):
            send = QShortcut(QKeySequence(keys), self)
            send.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            send.activated.connect(self._accept)
        self.hide()

    # What the carrier calls.

    def show_providers(self, providers: Sequence[Provider]) -> None:
        self._providers = tuple(providers)
        self._show_provider()

    def show_waiting(self) -> None:
        """A first look is being taken at what would leave; or another after a change, which stays readable."""
        self._busy = True
        self._progress.setRange(0, 0)
        self._looking.setText(self.tr("Looking for names, numbers and addresses…"))
        if self.preview is None:
            self._pile.setCurrentWidget(self._waiting)
        self._show_foot()

    def show_progress(self, done: int, total: int) -> None:
        """How far the local model is with looking for names; *Stay local* ends it."""
        if not self._busy:
            return
        self._progress.setRange(0, total)
        self._progress.setValue(done)
        words = self.tr("Looking for names: %1 of %2 parts").replace("%1", f"{done:,}").replace("%2", f"{total:,}")
        self._looking.setText(words)
        self._state.setText(words if self.preview is not None else "")

    def show_preview(self, preview: Preview) -> None:
        first = self.preview is None
        self._busy = self._barred = False
        self.preview = preview
        self._pile.setCurrentWidget(self._body)
        self._show_provider()
        self.facts.show_preview(preview)
        self.left.show_pieces(written(preview))
        self.left.show_marks(marks_written(preview, self.left))
        self._show_right()
        self.chips.model_.show_redactions(preview.redactions)
        self._show_hidden(preview)
        self.refusal.show_verdict(preview.verdict)
        self._show_foot()
        if first:
            self.right.setFocus(Qt.FocusReason.OtherFocusReason)
            self._show_end()

    def show_trouble(self, error: GatehouseError) -> None:
        """The look could not be taken, or nothing could be sent: nothing has left."""
        self._busy = False
        if self.preview is not None:
            self._barred = True
            self.refusal.show_error(error)
            self._show_foot()
            return
        step = step_of(error.code)
        action = (
            (step.words, lambda: self.step_wanted.emit(step.key)) if step else (self.tr("Try again"), self.again.emit)
        )
        hint = error.hint or self.tr("Nothing has left this machine.")
        self.trouble.tell("triangle-alert", error.sentence, hint, action, "warning")
        self._pile.setCurrentWidget(self.trouble)
        self._show_foot()
        self.trouble.setFocus(Qt.FocusReason.OtherFocusReason)

    def start_again(self) -> None:
        """Forget the preview that was shown."""
        self.preview = None
        self._end_edit()
        self.shown.choose("words")
        self.refusal.hide()

    # Building.

    def _build_head(self) -> QBoxLayout:
        fonts = self._themes.fonts
        title = label(self.tr("Ask the cloud"), fonts.title)
        note = label(
            self.tr("Nothing has left yet. What would leave is shown to the byte."), fonts.caption, "muted", wrap=True
        )
        close = IconButton("x", self.tr("Stay local"), self._icons, self._themes, size=28)
        close.clicked.connect(self.stayed)
        head = row(column(title, note, spacing=2), self.provider, close, spacing=12)
        head.setStretch(0, 1)
        return head

    def _build_body(self) -> QWidget:
        fonts = self._themes.fonts
        self._right_pile = QStackedWidget()
        self._right_pile.addWidget(self.right)
        self._right_pile.addWidget(self.edit)
        written_title = label(self.tr("What was written"), fonts.strong)
        leaving_title = row(label(self.tr("What would leave"), fonts.strong), None, self.shown)
        left = QWidget()
        left.setLayout(column(written_title, self.left, spacing=6))
        right = QWidget()
        right.setLayout(column(leaving_title, self._right_pile, spacing=6))
        written_title.setFixedHeight(self.shown.sizeHint().height())
        self._sides = row(left, right, spacing=2 * GRID)
        self._sides.setStretch(0, 1)
        self._sides.setStretch(1, 1)
        hidden = row(self._hidden_title, self.chips, self._nothing_hidden, spacing=12)
        hidden.setStretch(1, 1)
        hidden.setStretch(2, 1)
        hidden.setAlignment(self._hidden_title, Qt.AlignmentFlag.AlignTop)
        self._hidden_title.setContentsMargins(0, 8, 0, 0)
        made = QWidget()
        layout = column(self.facts, self._sides, hidden, self._warnings, self.refusal, spacing=10)
        layout.setStretch(1, 1)
        made.setLayout(layout)
        return made

    def _build_waiting(self) -> QWidget:
        self._progress = bar = QProgressBar()
        bar.setRange(0, 0)
        bar.setTextVisible(False)
        bar.setFixedWidth(30 * GRID)
        bar.setAccessibleName(self.tr("Looking through what would leave"))
        self._looking = words = label(self.tr("Looking for names, numbers and addresses…"))
        note = label(self.tr("On this machine. Nothing has left."), self._themes.fonts.caption, "muted")
        made = QWidget()
        lines = column(None, *(row(None, part, None) for part in (bar, words, note)), spacing=12)
        lines.addStretch(2)
        made.setLayout(lines)
        return made

    def _build_foot(self) -> QBoxLayout:
        self._state = label("", self._themes.fonts.caption, "muted")
        foot = row(self.edit_button, self._state, None, self.stay, self.send)
        return column(frame("line"), foot, spacing=12)

    # Showing.

    def _show_provider(self) -> None:
        chosen = self.preview.provider if self.preview is not None else None
        listed = {provider.id: provider for provider in self._providers}
        if chosen is not None and chosen.id:
            listed.setdefault(chosen.id, chosen)
        self.provider.clear()
        for provider in listed.values():
            words = display.provider(provider.name, provider.model)
            icon = "server" if provider.trust == "team" else "cloud"
            self.provider.addItem(self._icons.icon(icon, "outside"), words, provider.id)
        if chosen is not None:
            self.provider.setCurrentIndex(self.provider.findData(chosen.id))
        self.provider.setVisible(bool(listed))

    def _show_right(self) -> None:
        preview = self.preview
        if preview is None:
            return
        if self.shown.key == "bytes":
            shown = (
                preview.body.decode("utf-8", "backslashreplace")
                if preview.body
                else self.tr("No bytes: nothing may leave.")
            )
            self.right.show_source(shown)
            return
        self.right.show_pieces(leaving(preview))
        self.right.show_marks(marks_leaving(preview, self.right))

    def _show_hidden(self, preview: Preview) -> None:
        any_ = bool(preview.redactions)
        self.chips.setVisible(any_)
        self._nothing_hidden.setVisible(not any_)
        self._nothing_hidden.setText(
            self.tr("The detectors found nothing to hide. That is no proof that nothing is there.")
        )
        self._warnings.setText("\n".join(preview.warnings))
        self._warnings.setVisible(bool(preview.warnings))

    def _show_foot(self) -> None:
        preview, ready = self.preview, self.preview is not None and not self._busy
        allowed = preview is not None and preview.verdict.allowed
        editing = self._right_pile.currentWidget() is self.edit
        self.send.setVisible(preview is None or allowed)
        self.send.setEnabled(ready and allowed and not editing and not self._barred)
        name = preview.provider.name if preview is not None else ""
        self.send.setText(self.tr("Send to %1").replace("%1", name) if name else self.tr("Send"))
        self.edit_button.setVisible(preview is not None)
        self.edit_button.setEnabled(ready and not editing)
        self._state.setText(self.tr("Looking again…") if self._busy and preview is not None else "")

    def _show_end(self) -> None:
        """The last message is what one just wrote."""
        for pane in (self.left, self.right):
            pane.verticalScrollBar().setValue(pane.verticalScrollBar().maximum())

    # Asking.

    def _send(self) -> None:
        if self.preview is not None and self.send.isEnabled():
            self._busy = True
            self.setFocus(Qt.FocusReason.OtherFocusReason)  # else Qt hands the keyboard on to the next button
            self._show_foot()
            self.sent.emit(self.preview.id, self.preview.body_sha256)

    def _accept(self) -> None:
        """The key that sends takes an edit over while one edits."""
        if self._right_pile.currentWidget() is self.edit:
            self.edit.take()
        else:
            self.send.click()

    def _toggle(self, placeholder: str, on: bool) -> None:
        if self.preview is not None:
            off = {redaction.placeholder for redaction in self.preview.redactions if not redaction.on}
            off = off - {placeholder} if on else off | {placeholder}
            self.changed.emit(PreviewChange(off=frozenset(off)))

    def _choose_provider(self, place: int) -> None:
        key = self.provider.itemData(place)
        if self.preview is not None and key != self.preview.provider.id:
            self.changed.emit(PreviewChange(provider_id=key))

    def _take_step(self, step: str) -> None:
        if step == "edit":
            self._begin_edit()
        elif step == "again":
            self.again.emit()
        else:
            self.step_wanted.emit(step)

    def _point_out(self, redaction: Redaction | None) -> None:
        placeholder = redaction.placeholder if redaction is not None else ""
        self.left.point_out(placeholder)
        if self.shown.key == "words":
            self.right.point_out(placeholder)

    def _begin_edit(self) -> None:
        if self.preview is not None:
            self.shown.choose("words")
            self._show_right()
            self._right_pile.setCurrentWidget(self.edit)
            self.shown.setEnabled(False)
            self.edit.begin(self.preview)
            self._show_foot()

    def _end_edit(self) -> None:
        self._right_pile.setCurrentWidget(self.right)
        self.shown.setEnabled(True)
        self._show_foot()

    # Scrolling together.

    def _follow_scrolling(self) -> None:
        self._following = False
        self.left.verticalScrollBar().valueChanged.connect(lambda _v: self._follow(self.left, self.right))
        self.right.verticalScrollBar().valueChanged.connect(lambda _v: self._follow(self.right, self.left))

    def _follow(self, moved: TextPane, other: TextPane) -> None:
        if self._following or self.shown.key == "bytes":
            return
        self._following = True
        other.go_to(*moved.place())
        self._following = False

    # Events.

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.stayed.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = event.size().width() < _NARROW
        way = QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
        self._sides.setDirection(way)
        self.facts.set_narrow(narrow)
