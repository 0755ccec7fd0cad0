"""The Chat page: turns what was asked into calls, and what happened into something to see.

Layout and looks are in the parts (``sidebar``, ``ui.widgets.transcript``, ``ui.widgets.composer``); decisions are the
services'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QPoint, Qt, QThreadPool, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.chat.records import ContextUse, Conversation, Message, Transcript
from app.events import AnswerFinished, AnswerGrew, BranchChosen, ConversationChanged, ConversationDeleted, MessageAdded
from engine.errors import GatehouseError
from ui.desk import Action, Command, Desk
from ui.pages.chat.answers import ChatAnswers
from ui.pages.chat.banner import Banner
from ui.pages.chat.commands import commands_of
from ui.pages.chat.empty import EmptyChat
from ui.pages.chat.errands import Beginning, Errands
from ui.pages.chat.find_bar import FindBar
from ui.pages.chat.gate import ChatGate
from ui.pages.chat.header import Header
from ui.pages.chat.layout import lay_out
from ui.pages.chat.models import ChatModels
from ui.pages.chat.opening import Opening
from ui.pages.chat.papers import ChatPapers
from ui.pages.chat.session import NEW, Session
from ui.pages.chat.sidebar import Sidebar
from ui.pages.chat.system_prompt import SystemPromptCard
from ui.shortcuts import ASK_CLOUD, ASK_CLOUD_TOO, COPY_ANSWER, EDIT_LAST, GATE, REGENERATE, install
from ui.theme import GRID
from ui.widgets.composer import Composer
from ui.widgets.markdown import warm_up
from ui.widgets.transcript import Transcript as TranscriptView

_WARM_UP_MS = 400
"""After the window is usable, and before anybody has typed a question."""


class ChatPage(QWidget):
    """One page for all conversations; one of them is open."""

    gate_shown = Signal(object)
    """The ``GateSetting`` of the open conversation, for the status bar."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._errands = Errands(desk, self)
        self._session = Session()
        self._opening = Opening()
        self._system_prompt = ""
        """Of a conversation that does not exist yet."""
        self.sidebar = Sidebar(desk.themes, desk.icons)
        self.header = Header(desk.themes, desk.icons)
        self.transcript = TranscriptView(desk.themes, desk.icons)
        self.find_bar = FindBar(self.transcript, desk.themes, desk.icons)
        self.empty = EmptyChat(desk.themes)
        self.banner = Banner(desk.themes)
        self.composer = Composer(desk.themes, desk.icons)
        self.setAccessibleName(self.tr("Chat"))
        self._pile = lay_out(self, desk)
        self.gate = ChatGate(desk, self, self.composer, self.transcript)
        self.gate.shown.connect(self.gate_shown)
        self.gate.shown.connect(lambda setting: self.empty.show_gate(shut=setting.shut))
        self.gate.cover(self._pile.parentWidget())
        self.answers = ChatAnswers(desk, self._errands, self._session, self.transcript, self.gate, self.send)
        self.models = ChatModels(desk, self._errands, self.composer, self.banner, self.empty, self.transcript)
        self.models.became_ready.connect(self.composer.measure)
        self.papers = ChatPapers(desk, self, self.composer, self.transcript, self._begin)
        self.papers.changed.connect(self.composer.measure)
        self._connect_parts()
        self._connect_bridge()
        answers = self.answers
        keys = {REGENERATE: answers.regenerate_last, COPY_ANSWER: answers.copy_last, EDIT_LAST: answers.edit_last}
        install(self, {**keys, GATE: self.open_gate, ASK_CLOUD: self.ask_cloud, ASK_CLOUD_TOO: self.ask_cloud})
        self._start()

    # What the window calls.

    def enter(self) -> None:
        self.composer.take_focus()

    def new_conversation(self) -> None:
        """A conversation that exists once something is sent."""
        self._leave()
        self._opening.give_up()
        self._session.open_id = NEW
        self._system_prompt = ""
        self.gate.begin_fresh()
        self.papers.follow(NEW)
        self._show_empty()
        self.composer.take_focus()

    def find_everywhere(self) -> None:
        self.sidebar.begin_search()

    def open_find(self) -> None:
        if self._session.open_id != NEW:
            self.find_bar.open_bar()

    def open_conversation(self, conversation_id: str, message_id: str = "") -> None:
        """Show a conversation, at a message if one is named."""
        if conversation_id == self._session.open_id and message_id:
            self.transcript.jump_to(message_id)
            return
        self._leave()
        self._session.open_id = conversation_id
        self.sidebar.set_current(conversation_id)
        self.gate.follow(self.current)
        self.papers.follow(conversation_id)
        self._call_open(conversation_id, message_id=message_id)
        self._errands.remember(conversation_id)

    def commands(self) -> Sequence[Command]:
        return commands_of(self)

    # Building.

    @property
    def current(self) -> Conversation | None:
        """The open conversation, once it exists."""
        return self.sidebar.model.conversation(self._session.open_id)

    def _connect_parts(self) -> None:
        side, composer, transcript = self.sidebar, self.composer, self.transcript
        side.chosen.connect(self.open_conversation)
        side.hit_chosen.connect(self.open_conversation)
        side.new_wanted.connect(self.new_conversation)
        side.search_wanted.connect(self._search)
        side.renamed.connect(self._errands.rename)
        side.pin_wanted.connect(self._errands.pin)
        side.delete_wanted.connect(self._errands.delete)
        side.prompt_wanted.connect(self._edit_prompt_of)
        self.header.prompt_wanted.connect(self.edit_prompt)
        self.header.menu_wanted.connect(lambda at: side.open_menu(self._session.open_id, at))
        composer.sent.connect(self.send)
        composer.stopped.connect(self.answers.stop)
        composer.cloud_wanted.connect(lambda draft: self.gate.ask_with(draft, self._system_prompt))
        composer.measure_wanted.connect(self._measure)
        composer.edit_last_wanted.connect(self.answers.edit_last)
        transcript.cloud_wanted.connect(self.gate.ask_about)
        transcript.edited.connect(self._errands.edit)
        transcript.edited.connect(composer.take_focus)
        self.empty.picked.connect(self._take_example)
        self.find_bar.closed.connect(composer.take_focus)

    def _connect_bridge(self) -> None:
        bridge = self._desk.bridge
        bridge.conversation_changed.connect(self._conversation_changed)
        bridge.conversation_deleted.connect(self._conversation_deleted)
        bridge.message_added.connect(self._message_added)
        bridge.branch_chosen.connect(self._branch_chosen)
        bridge.answer_grew.connect(self._answer_grew)
        bridge.answer_finished.connect(self._answer_finished)

    def _start(self) -> None:
        self._show_empty()
        self.models.start()
        self._errands.list_conversations(self._show_conversations)
        QTimer.singleShot(_WARM_UP_MS, self, lambda: QThreadPool.globalInstance().start(warm_up))

    # Asking.

    def send(self, text: str) -> None:
        """Send to the open conversation; the composer is emptied when the message is stored."""
        self._session.sending = True
        drafted = self.composer.draft.strip() == text

        def sent() -> None:
            self._session.sending = False
            self._system_prompt = ""
            if drafted and self.composer.draft.strip() == text:
                self.composer.set_draft("")

        def refused(error: GatehouseError) -> None:
            self._session.sending = False
            self._desk.notices.show("error", error.sentence, error.hint)

        self._errands.send(self._session.open_id or None, self._beginning(), text, sent, refused)

    def _beginning(self) -> Beginning:
        return Beginning(self._system_prompt, self.gate.fresh.mode, self.gate.fresh.own_label)

    def _begin(self, go_on: Callable[[str], None]) -> None:
        """Let the new conversation exist before anything is said in it; what was drafted stays in the composer."""

        def begun(key: str) -> None:
            if self._session.open_id == NEW:
                self._session.adopt(key)
                self._system_prompt = ""
                self._begin_new(key)
            go_on(key)

        self._errands.begin(self._beginning(), begun)

    def open_gate(self) -> None:
        """The card of this conversation's gate."""
        self.composer.gate.open_card()

    def ask_cloud(self) -> None:
        """Ask a model elsewhere: with the draft, or about the last answer when nothing is drafted."""
        answer = self.answers.last
        if self.composer.draft.strip():
            self.composer.ask_cloud()
        elif answer is not None:
            self.gate.ask_about(answer.id)

    def _search(self, words: str) -> None:
        self._errands.search(words, lambda hits: self.sidebar.show_hits(words, hits))

    def _measure(self, draft: str) -> None:
        key = self._session.open_id

        def show(use: ContextUse | None) -> None:
            if key == self._session.open_id:
                self.composer.show_use(use, begun=key != NEW)

        self._errands.measure(key or None, draft, show)

    def _call_open(self, conversation_id: str, *, message_id: str = "", keep: bool = False) -> None:
        """Ask for the transcript."""
        ticket = self._opening.begin()

        def show(transcript: Transcript) -> None:
            self._opening.end(ticket, lambda: self._show_transcript(transcript, message_id, keep))

        def refused(error: GatehouseError) -> None:
            self._desk.notices.show("error", error.sentence, error.hint)
            if self._opening.fail(ticket):
                self.new_conversation()

        self._errands.open(conversation_id, show, refused)

    def _when_open(self, conversation_id: str, happened: Callable[[], None]) -> None:
        """Do it if it concerns the open conversation: now, or once its transcript is here."""
        if conversation_id == self._session.open_id:
            self._opening.when_here(happened)

    # Events.

    def _conversation_changed(self, event: ConversationChanged) -> None:
        self.sidebar.put(event.conversation)
        if event.conversation.id == self._session.open_id:
            self._show_header(event.conversation)

    def _conversation_deleted(self, event: ConversationDeleted) -> None:
        key = event.conversation_id
        neighbour = self.sidebar.model.neighbour(key)
        self._session.forget(key)
        self.sidebar.remove(key)
        if not event.for_good:  # retention says itself what it did
            undo = Action(self.tr("Undo"), lambda: self._errands.undelete(key, lambda: self.open_conversation(key)))
            words = self.tr("“%1” was deleted.").replace("%1", event.title)
            self._desk.notices.show("info", words, action=undo)
        if key == self._session.open_id:
            if neighbour is not None:
                self.open_conversation(neighbour)
            else:
                self.new_conversation()

    def _message_added(self, event: MessageAdded) -> None:
        message = event.message
        if self._session.open_id == NEW and self._session.sending:
            self._session.adopt(message.conversation_id)
            self._begin_new(message.conversation_id)
        self._note(message)
        self._when_open(message.conversation_id, lambda: self._show_added(message))

    def _branch_chosen(self, event: BranchChosen) -> None:
        if event.conversation_id == self._session.open_id:
            self._call_open(event.conversation_id, keep=True)

    def _answer_grew(self, event: AnswerGrew) -> None:
        if self._session.grew(event.conversation_id, event.message_id):
            self._show_writing(event.conversation_id)
        grown = (event.message_id, event.text, event.reasoning, event.text_start, event.reasoning_start)
        self._when_open(event.conversation_id, lambda: self.transcript.grow(*grown))

    def _answer_finished(self, event: AnswerFinished) -> None:
        self._note(event.message)
        self._when_open(event.message.conversation_id, lambda: self._show_finished(event.message))

    # Showing.

    def _note(self, message: Message) -> None:
        self._session.note(message)
        self._show_writing(message.conversation_id)

    def _show_writing(self, conversation_id: str) -> None:
        self.sidebar.model.set_writing(conversation_id, self._session.writing(conversation_id))
        self.composer.set_writing(self.answers.writing)

    def _show_added(self, message: Message) -> None:
        self._pile.setCurrentWidget(self.transcript)
        self.transcript.add_message(message)

    def _show_finished(self, message: Message) -> None:
        self.transcript.renew_message(self.transcript.placed(message))
        self._note(message)
        self.composer.measure()

    def _begin_new(self, conversation_id: str) -> None:
        self.transcript.show_messages(())
        self.papers.follow(conversation_id)
        self.sidebar.set_current(conversation_id)
        conversation = self.sidebar.model.conversation(conversation_id)
        if conversation is not None:
            self._show_header(conversation)
        self._errands.remember(conversation_id)

    def _leave(self) -> None:
        self._session.keep_draft(self.composer.draft)
        self.find_bar.close_bar()

    def _show_conversations(self, conversations: Sequence[Conversation]) -> None:
        self.sidebar.show_conversations(conversations)
        last = self._desk.services.settings.values.last_conversation_id
        if self._session.open_id == NEW and any(c.id == last for c in conversations) and not self.composer.draft:
            assert last is not None
            self.open_conversation(last)

    def _show_transcript(self, transcript: Transcript, message_id: str, keep: bool) -> None:
        for message in transcript.messages:
            self._session.note(message)
        self.transcript.show_messages(transcript.messages, keep=keep)
        self._pile.setCurrentWidget(self.transcript if transcript.messages else self.empty)
        self._show_header(transcript.conversation)
        self._show_writing(transcript.conversation.id)
        if message_id:
            self.transcript.jump_to(message_id)
        if not keep:
            self.composer.set_draft(self._session.draft())

    def _show_empty(self) -> None:
        self.sidebar.set_current(NEW)
        self.header.show_title("")
        self._pile.setCurrentWidget(self.empty)
        self.composer.set_draft(self._session.draft())
        self.composer.set_writing(False)

    def _show_header(self, conversation: Conversation) -> None:
        self.header.show_title(conversation.title, bool(conversation.system_prompt))
        self.gate.follow(conversation)

    # Small things.

    def _take_example(self, prompt: str) -> None:
        self.composer.set_draft(prompt)
        self.composer.take_focus()

    def edit_prompt(self) -> None:
        self._edit_prompt_of(self._session.open_id)

    def _edit_prompt_of(self, conversation_id: str) -> None:
        conversation = self.sidebar.model.conversation(conversation_id)
        text = conversation.system_prompt if conversation is not None else self._system_prompt
        card = SystemPromptCard(text, self._desk.themes, self)

        def save(prompt: str) -> None:
            if conversation is None:
                self._system_prompt = prompt
                self.header.show_title("", bool(prompt))
            else:
                self._errands.set_system_prompt(conversation_id, prompt)

        card.saved.connect(save)
        card.open_at(self.header.mapToGlobal(QPoint(self.header.width() - 2 * GRID, self.header.height())))

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab passes over messages that wait out of sight: one must see where the keyboard is."""
        first = QApplication.focusWidget()
        while super().focusNextPrevChild(forward):
            focused = QApplication.focusWidget()
            if focused is None or focused is first or not self._hidden(focused):
                return True
        return False

    def _hidden(self, part: QWidget) -> bool:
        return self.transcript.out_of_sight(part) or self.gate.covers(part)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.gate.open:
            self.gate.stay_local()
        elif event.key() == Qt.Key.Key_Escape and self.answers.writing:
            self.answers.stop()
        elif event.key() == Qt.Key.Key_F2:
            self.sidebar.begin_rename()
        else:
            super().keyPressEvent(event)
