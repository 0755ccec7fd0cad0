"""Set-up's section about the store: its state in words, the passphrase, idle lock, copies, a new key, retention.

Rows appear by state. Work that writes the store anew takes a moment; meanwhile the buttons wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QFileDialog, QLineEdit, QPushButton, QScrollArea, QWidget

from app.vault.records import Lock, VaultState
from engine.errors import GatehouseError
from ui import display, shortcuts
from ui.desk import Desk
from ui.pages.retention import RetentionPart
from ui.theme import GRID, grown
from ui.widgets.parts import button, column, frame, label, row, set_tone

_MINUTES: tuple[int | None, ...] = (None, 1, 5, 10, 15, 30, 60, 240)

T = TypeVar("T")


class StoreSection(QWidget):
    """``refresh`` reads the state; each button asks ``StoreApi`` and refreshes."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._store = desk.services.store
        fonts = desk.themes.fonts
        self.state = label(wrap=True)
        self.details = label("", fonts.caption, "muted", wrap=True)
        self.choose = button("", self._open_form)
        self.remove = button(self.tr("Remove it"), self._remove, "quiet")
        self.form = PassphraseForm(desk, self._save, self._close_form)
        self.form.hide()
        self.code = CodeCard(desk)
        self.code.hide()
        self.minutes = self._idle_minutes()
        self.copy = button(self.tr("Back up…"), self._choose_copy)
        self.rotate = button(self.tr("New key"), self._rotate)
        self.renew = button(self.tr("New recovery code"), self._renew)
        self._passphrase_row = self._line(
            self.tr("Passphrase"),
            self.tr(
                "Asked for when Gatehouse opens. Without it, and without the recovery code, nobody reads the store."
            ),
            row(self.choose, self.remove),
        )
        self._idle_row = self._line(
            self.tr("Lock when idle"),
            self.tr("Minutes without a key or the mouse; %1 locks at once.").replace(
                "%1", shortcuts.in_words(shortcuts.LOCK)
            ),
            row(self.minutes),
        )
        self._copy_row = self._line(
            self.tr("Backup"),
            self.tr("One file that opens as the store does. “gatehouse store restore” puts it back."),
            row(self.copy),
        )
        self._key_row = self._line(
            self.tr("Key"),
            self.tr("A new key makes old copies of the file on this disk unreadable. Takes seconds."),
            row(self.rotate, self.renew),
        )
        self.retention = RetentionPart(desk)
        card = frame("card")
        card.setLayout(
            column(
                column(self.state, self.details, spacing=2),
                self._passphrase_row,
                self.form,
                self.code,
                self._idle_row,
                self._copy_row,
                self._key_row,
                self.retention,
                spacing=2 * GRID,
                margin=2 * GRID,
            )
        )
        self.setLayout(column(label(self.tr("Store"), fonts.title), card, spacing=GRID))
        self._working(False)
        self.refresh()

    def refresh(self) -> None:
        """Ask how the store is kept, and show it."""
        self._desk.bridge.call(self._store.state, self._show, owner=self)
        self.retention.refresh()

    # shown

    def _show(self, state: VaultState) -> None:
        self.state.setText(self._sentence(state))
        set_tone(self.state, "warning" if state.lock is Lock.PLAIN else "")
        self.details.setText(self._facts(state))
        sealed = state.lock is not Lock.PLAIN
        with_passphrase = state.lock is Lock.PASSPHRASE
        self.choose.setText(self.tr("Change…") if with_passphrase else self.tr("Choose…"))
        self.remove.setVisible(with_passphrase)
        self._idle_row.setVisible(with_passphrase)
        self._key_row.setVisible(sealed)

    def _sentence(self, state: VaultState) -> str:
        match state.lock:
            case Lock.PASSPHRASE:
                return self.tr("Encrypted. It opens with your passphrase.")
            case Lock.KEYRING:
                return self.tr("Encrypted. Its key is in this login's keyring, so it opens when you are logged in.")
            case Lock.PLAIN:
                return self.tr("Not encrypted: whoever can read the file can read your conversations.")

    def _facts(self, state: VaultState) -> str:
        if state.lock is Lock.PLAIN:
            next_step = self.tr(
                "Choose a passphrase. Until then keys of providers are not kept, nor the memory of chats."
            )
            return f"{state.reason} {next_step}"
        parts = [display.byte_size(state.size_bytes)]
        parts.append(
            self.tr("with a recovery code")
            if state.has_recovery_code
            else self.tr("without a recovery code: if the keyring is lost, so is the store")
        )
        made = state.backed_up_at
        last = self.tr("last backup %1").replace("%1", display.ago(made, time.time())) if made else ""
        parts.append(last or self.tr("no backup yet"))
        return " · ".join(parts)

    # asked for

    def _open_form(self) -> None:
        self.code.hide()
        self.form.open()
        self._reveal(self.form)

    def _close_form(self) -> None:
        self.form.hide()
        self.choose.setFocus()

    def _save(self, passphrase: str) -> None:
        def saved(code: str) -> None:
            self.form.hide()
            self._show_code(code)

        self._do(lambda: self._store.set_passphrase(passphrase), saved, self.form.refuse)

    def _show_code(self, code: str) -> None:
        self.code.show_code(code)
        self._reveal(self.code)

    def _reveal(self, widget: QWidget) -> None:
        """Scroll what has just appeared into sight, once it has its place."""
        area = self.parent()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parent()
        if area is not None:
            QTimer.singleShot(0, widget, lambda: area.ensureWidgetVisible(widget))

    def _remove(self) -> None:
        def removed(left: Lock) -> None:
            kept = self.tr("Its key is in the keyring.")
            plain = self.tr("The store is no longer encrypted.")
            self._desk.notices.show(
                "info", self.tr("The passphrase is removed."), kept if left is Lock.KEYRING else plain
            )

        self._do(self._store.remove_passphrase, removed)

    def _renew(self) -> None:
        self._do(self._store.renew_recovery_code, self._show_code)

    def _rotate(self) -> None:
        self._do(self._store.rotate, lambda _: self._desk.notices.show("success", self.tr("The store has a new key.")))

    def _choose_copy(self) -> None:
        name = time.strftime("gatehouse-%Y-%m-%d.gatehouse")
        dialog = QFileDialog(self, self.tr("Back up the store"), name, self.tr("Copies (*.gatehouse)"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.back_up(Path(path)))
        dialog.open()

    def back_up(self, path: Path) -> None:
        """Write a copy there and say how large it is."""

        def done(size_bytes: int) -> None:
            words = self.tr("A copy of %1 was written to %2.").replace("%1", display.byte_size(size_bytes))
            self._desk.notices.show("success", words.replace("%2", str(path)))

        self._do(lambda: self._store.back_up(path), done)

    def _do(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        done: Callable[[T], object],
        refused: Callable[[GatehouseError], object] | None = None,
    ) -> None:
        def finished(result: T) -> None:
            self._working(False)
            done(result)
            self.refresh()

        def failed(error: GatehouseError) -> None:
            self._working(False)
            if refused is not None:
                refused(error)
            else:
                self._desk.notices.show("error", error.sentence, error.hint)
            self.refresh()

        self._working(True)
        self._desk.bridge.call(work, finished, failed, owner=self)

    def _working(self, on: bool) -> None:
        for control in (self.choose, self.remove, self.copy, self.rotate, self.renew, self.form.save):
            control.setEnabled(not on)

    def _idle_minutes(self) -> QComboBox:
        made = QComboBox()
        chosen = self._desk.services.settings.values.relock_minutes
        for minutes in _MINUTES if chosen in _MINUTES else (*_MINUTES, chosen):
            made.addItem(
                self.tr("Never") if minutes is None else self.tr("%1 min").replace("%1", display.integer(minutes)),
                minutes,
            )
        made.setCurrentIndex(made.findData(chosen))
        made.setAccessibleName(self.tr("Lock when idle"))
        made.setFixedWidth(grown(18 * GRID))
        made.currentIndexChanged.connect(lambda place: self._keep_minutes(made.itemData(place)))
        return made

    def _keep_minutes(self, minutes: int | None) -> None:
        try:
            self._desk.services.settings.update(relock_minutes=minutes)
        except OSError as error:
            self._desk.notices.show("warning", self.tr("The settings could not be saved."), error.strerror or "")

    def _line(self, name: str, hint: str, controls: Any) -> QWidget:
        words = column(label(name), label(hint, self._desk.themes.fonts.caption, "muted", wrap=True), spacing=2)
        line = row(words, controls, spacing=3 * GRID)
        line.setStretch(0, 1)
        line.setContentsMargins(0, 0, 0, 0)
        whole = QWidget()
        whole.setLayout(line)
        return whole


class PassphraseForm(QWidget):
    """A new passphrase, typed twice."""

    def __init__(self, desk: Desk, save: Callable[[str], object], cancel: Callable[[], object]) -> None:
        super().__init__()
        self._save = save
        self.first, self.second = _secret(self.tr("New passphrase")), _secret(self.tr("Once more"))
        self.fault = label("", desk.themes.fonts.caption, "danger", wrap=True)
        self.save: QPushButton = button(self.tr("Encrypt with it"), self._try, "primary")
        hint = label(
            self.tr("At least eight letters; four unrelated words are good. It is kept nowhere."),
            desk.themes.fonts.caption,
            "muted",
            wrap=True,
        )
        self.first.returnPressed.connect(self.second.setFocus)
        self.second.returnPressed.connect(self._try)
        body = column(hint, row(self.first, self.second), self.fault, spacing=GRID)
        body.addLayout(row(self.save, button(self.tr("Cancel"), cancel, "quiet"), None))
        self.setLayout(body)

    def open(self) -> None:
        """Empty, with the focus."""
        self.first.clear()
        self.second.clear()
        self.fault.clear()
        self.show()
        self.first.setFocus()

    def refuse(self, error: GatehouseError) -> None:
        """Say why it was not taken."""
        self.fault.setText(str(error))
        self.first.setFocus()

    def _try(self) -> None:
        if self.first.text() != self.second.text():
            self.fault.setText(self.tr("The two differ."))
            return
        self._save(self.first.text())


class CodeCard(QWidget):
    """The recovery code, shown once."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.code = label("", desk.themes.fonts.mono)
        self.code.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.code.setAccessibleName(self.tr("Recovery code"))
        words = label(
            self.tr(
                "Write this recovery code down. It opens the store if the passphrase is lost, and is shown only now."
            ),
            wrap=True,
        )
        body = column(words, self.code, spacing=GRID, margin=2 * GRID)
        body.addLayout(
            row(button(self.tr("Copy it"), self._copy), button(self.tr("I have it"), self._put_away, "primary"), None)
        )
        card = frame("warning")
        card.setLayout(body)
        self.setLayout(column(card))

    def show_code(self, code: str) -> None:
        """Until the person puts it away."""
        self.code.setText(code)
        self.show()

    def _put_away(self) -> None:
        self.code.clear()
        self.hide()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.code.text())


def _secret(name: str) -> QLineEdit:
    made = QLineEdit()
    made.setEchoMode(QLineEdit.EchoMode.Password)
    made.setPlaceholderText(name)
    made.setAccessibleName(name)
    made.setMinimumHeight(4 * GRID)
    return made
