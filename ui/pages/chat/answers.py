"""What can be done with answers of the open conversation, by key, by palette and by their buttons."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication

from app.chat.records import Message
from ui.desk import Desk
from ui.pages.chat.errands import Errands
from ui.pages.chat.gate import ChatGate
from ui.pages.chat.session import NEW, Session
from ui.widgets.transcript import Transcript


class ChatAnswers(QObject):
    """``send`` says something in the open conversation."""

    def __init__(
        self,
        desk: Desk,
        errands: Errands,
        session: Session,
        transcript: Transcript,
        gate: ChatGate,
        send: Callable[[str], None],
    ) -> None:
        super().__init__(transcript)
        self._desk, self._errands, self._session = desk, errands, session
        self._transcript, self._gate, self._send = transcript, gate, send
        transcript.retried.connect(self._retry)
        transcript.continued.connect(self._go_on)
        transcript.branch_wanted.connect(errands.choose_branch)

    @property
    def writing(self) -> bool:
        """Whether one is being written."""
        return self._session.answer_under_way() is not None

    @property
    def last(self) -> Message | None:
        """The newest one that is done, if it is the last thing said."""
        messages = self._transcript.messages
        done = self._session.open_id != NEW and bool(messages) and not self.writing
        return messages[-1] if done and messages[-1].role == "assistant" else None

    def stop(self) -> None:
        answer_id = self._session.answer_under_way()
        if answer_id is not None:
            self._errands.stop(answer_id)

    def regenerate_last(self) -> None:
        answer = self.last
        if answer is not None:
            self._errands.regenerate(answer.id)

    def copy_last(self) -> None:
        answer = self.last
        if answer is not None:
            QGuiApplication.clipboard().setText(answer.text)
            self._desk.notices.show("success", self.tr("The answer was copied."))

    @property
    def can_edit_last(self) -> bool:
        return self._session.open_id != NEW and self._transcript.last_own() is not None and not self.writing

    def edit_last(self) -> None:
        """Change one's own last message; the answers to it stay as another version."""
        last = self._transcript.last_own()
        if last is not None and self.can_edit_last:
            self._transcript.begin_edit(last.id)

    def _go_on(self, message_id: str) -> None:
        """Go on with an answer that ended early: whoever wrote it goes on."""
        if not self._gate.resume(message_id):
            self._send(self.tr("Continue where you stopped."))

    def _retry(self, message_id: str) -> None:
        """Another answer; a failed one from elsewhere goes through the gate again."""
        if not self._gate.retry(message_id):
            self._errands.regenerate(message_id)
