"""Where one writes: text, model, gate, context meter, send or stop.

Enter sends, Shift+Enter breaks the line, Escape stops. The composer knows no service: it asks by signals.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QTextCursor
from PySide6.QtWidgets import QFrame, QPlainTextEdit

from app.chat.records import ContextUse
from app.gate.label import GateMode
from ui import display
from ui.icons import Icons
from ui.shortcuts import ASK_CLOUD, in_words
from ui.theme import ThemeStore
from ui.widgets.attachments import AttachmentBar
from ui.widgets.context_meter import ContextMeter
from ui.widgets.gate_control import GateControl, GateSetting
from ui.widgets.growing_edit import GrowingEdit
from ui.widgets.icon_button import IconButton
from ui.widgets.ink import mix_ink
from ui.widgets.model_picker import ModelPicker
from ui.widgets.parts import column, label, row
from ui.widgets.send_button import SendButton

_MEASURE_AFTER_MS = 250
_MOST_LINES = 12
_NARROW = 560
"""Below this the gate leaves its label's words off."""


class Composer(QFrame):
    """``measure_wanted`` follows typing with a pause; ``show_use`` is the answer."""

    sent = Signal(str)
    cloud_wanted = Signal(str)
    """The draft, for a model elsewhere."""
    stopped = Signal()
    measure_wanted = Signal(str)
    edit_last_wanted = Signal()
    attach_wanted = Signal()
    """Choose documents to attach."""
    files_given = Signal(list)
    """Paths that were dropped or pasted into the text."""

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._themes, self._icons = themes, icons
        self._writing = False
        self._dropping = False
        self._use: ContextUse | None = None
        self._begun = False
        self.text = GrowingEdit(least_lines=1, most_lines=_MOST_LINES, takes_files=True)
        self.text.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.text.setStyleSheet("QPlainTextEdit { border: none; background: transparent; }")
        self.text.setFont(mix_ink(themes.theme, themes.fonts).body)
        self.text.setPlaceholderText(self.tr("Write a message"))
        self.text.setAccessibleName(self.tr("Message"))
        self.text.installEventFilter(self)
        self.text.submitted.connect(self.send)
        self.text.files_given.connect(self.files_given)
        self.text.textChanged.connect(self._changed)
        self.papers = AttachmentBar(themes, icons)
        self.attach = IconButton("paperclip", self.tr("Attach documents…"), icons, themes)
        self.attach.clicked.connect(self.attach_wanted)
        self.picker = ModelPicker(themes, icons)
        self.gate = GateControl(themes, icons)
        self.cloud = IconButton("cloud-upload", "", icons, themes, tone="outside")
        self.cloud.rename(self.tr("Ask the cloud with this draft…"), in_words(ASK_CLOUD))
        self.cloud.clicked.connect(self.ask_cloud)
        self.meter = ContextMeter(themes)
        self.button = SendButton(themes, icons)
        self.button.clicked.connect(self._pressed)
        self._overflow = label("", themes.fonts.caption, "danger", wrap=True)
        self._overflow.hide()
        foot = row(self.attach, self.picker, self.gate, None, self.meter, self.cloud, self.button, spacing=4)
        layout = column(self.papers, self._overflow, self.text, foot, spacing=6)
        layout.setContentsMargins(14, 12, 10, 8)
        self.setLayout(layout)
        self._pause = QTimer(self, singleShot=True, interval=_MEASURE_AFTER_MS)
        self._pause.timeout.connect(self.measure)
        themes.changed.connect(self._colour)
        self._colour()
        self.show_gate(GateSetting())

    # What the page calls.

    @property
    def draft(self) -> str:
        return self.text.toPlainText()

    def set_draft(self, text: str) -> None:
        """Other text, with the cursor at its end; it is measured at once."""
        self.text.setPlainText(text)
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.measure()

    def set_writing(self, writing: bool) -> None:
        """Whether an answer is being written: then the button stops it."""
        if writing != self._writing:
            self._writing = writing
            self.button.set_stops(writing)
            self._refresh()

    def show_use(self, use: ContextUse | None, *, begun: bool) -> None:
        """What the next prompt takes; more than there is forbids sending and says so. ``begun``: something was said."""
        self._use, self._begun = use, begun
        self.meter.show_use(use)
        too_long = use is not None and not use.fits and bool(self.draft.strip())
        if use is not None and too_long:
            way_out = self.tr("start a new chat") if begun else self.tr("give the model a larger context")
            words = self.tr("This needs %1 and the model holds %2. Shorten it, or %3.").replace("%3", way_out)
            needed, held = display.tokens(use.prompt_tokens), display.integer(use.n_ctx)
            self._overflow.setText(words.replace("%1", needed).replace("%2", held))
        self._overflow.setVisible(too_long)
        self._refresh()

    def measure(self) -> None:
        """Ask for the measure of what is there now."""
        self._pause.stop()
        self.measure_wanted.emit(self.draft)

    def set_dropping(self, dropping: bool) -> None:
        """Whether documents are being dragged over the page."""
        self._dropping = dropping
        words = self.tr("Drop documents here to attach them") if dropping else self.tr("Write a message")
        self.text.setPlaceholderText(words)
        self.update()

    def take_focus(self) -> None:
        self.text.setFocus(Qt.FocusReason.OtherFocusReason)

    def send(self) -> None:
        """Send, if there is something and it fits and nothing is being written."""
        if self._can_send():
            self.sent.emit(self.draft.strip())

    def ask_cloud(self) -> None:
        """Ask a model elsewhere instead, where the gate lets one ask."""
        if self.draft.strip() and not self._writing:
            self.cloud_wanted.emit(self.draft.strip())

    def show_gate(self, setting: GateSetting) -> None:
        """How the gate of the open conversation stands."""
        self.gate.show_setting(setting)
        self.cloud.setVisible(setting.mode is not GateMode.LOCAL)
        self._refresh()
        self.update()

    @property
    def sendable(self) -> bool:
        return self._can_send()

    @property
    def overflow(self) -> str:
        """The sentence that says the draft does not fit, or nothing."""
        return "" if self._overflow.isHidden() else self._overflow.text()

    # Inside.

    def _can_send(self) -> bool:
        fits = self._use is None or self._use.fits
        return bool(self.draft.strip()) and fits and not self._writing

    def _pressed(self) -> None:
        if self._writing:
            self.stopped.emit()
        else:
            self.send()

    def _changed(self) -> None:
        self._pause.start()
        if self._use is not None and not self._use.fits and not self.draft.strip():
            self.show_use(self._use, begun=self._begun)
        self._refresh()

    def _refresh(self) -> None:
        self.button.setEnabled(self._writing or self._can_send())
        self.cloud.setEnabled(bool(self.draft.strip()) and not self._writing and not self.gate.setting.shut)

    def _colour(self) -> None:
        self.update()

    # Events.

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.update()
        if not isinstance(event, QKeyEvent) or event.type() is not QEvent.Type.KeyPress:
            return super().eventFilter(watched, event)
        if event.key() == Qt.Key.Key_Up and not self.draft:
            self.edit_last_wanted.emit()
            return True
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._writing:
            self.stopped.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.gate.set_compact(event.size().width() < _NARROW)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._themes.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = self.text.hasFocus() or self._dropping
        width = 1.5 if focused else 1.0
        setting = self.gate.setting
        open_ = setting.mode is GateMode.OPEN and not setting.shut
        edge = theme.outside if open_ else theme.focus if focused else theme.border_strong
        painter.setPen(QPen(QColor(edge), width))
        painter.setBrush(QColor(theme.surface))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 12, 12)
        painter.end()
