"""Between the core thread and Qt's: events become signals, coroutines become callbacks.

Events arrive in order. Growth of a streaming answer is merged to one signal a frame and message. A callback whose owner
is gone is dropped. Errors of the environment reach the caller; anything else is our bug and goes to ``crashed``.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app import events
from app.bus import Bus
from engine.errors import GatehouseError
from ui.theme import FRAME_MS

T = TypeVar("T")


class Core(Protocol):
    """The thread in which services live (``app.lanes.CoreThread``)."""

    def submit(self, coroutine: Coroutine[Any, Any, T], /) -> concurrent.futures.Future[T]: ...


class Bridge(QObject):
    """Lives in Qt's thread. One for each application."""

    conversation_changed = Signal(object)
    conversation_deleted = Signal(object)
    message_added = Signal(object)
    branch_chosen = Signal(object)
    answer_grew = Signal(object)
    """``AnswerGrew`` with all text of the last frame."""
    answer_finished = Signal(object)
    models_changed = Signal(object)
    loaded_model_changed = Signal(object)
    downloads_changed = Signal(object)
    download_progressed = Signal(object)
    download_finished = Signal(object)
    download_failed = Signal(object)
    bundle_progressed = Signal(object)
    gate_changed = Signal(object)
    offline_changed = Signal(object)
    providers_changed = Signal(object)
    glossary_changed = Signal(object)
    budget_changed = Signal(object)
    answer_flagged = Signal(object)
    ledger_grew = Signal(object)
    names_sought = Signal(object)
    batch_changed = Signal(object)
    batch_removed = Signal(object)
    files_added = Signal(object)
    file_changed = Signal(object)
    value_changed = Signal(object)
    schemas_changed = Signal(object)
    attachment_changed = Signal(object)
    notice_raised = Signal(object)
    crashed = Signal(object)
    """An exception that is a bug of ours."""

    _woken = Signal()

    def __init__(self, core: Core, bus: Bus, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._core = core
        self._lock = threading.Lock()
        self._inbox: deque[events.Event | Callable[[], None]] = deque()
        self._awake = False
        self._closed = False
        self._calls = 0
        self._growth: dict[str, events.AnswerGrew] = {}
        self._frame = QTimer(self, singleShot=True, interval=FRAME_MS)
        self._frame.timeout.connect(self._flush_growth)
        self._woken.connect(self._drain, Qt.ConnectionType.QueuedConnection)
        self._unsubscribe = bus.subscribe(self._post)

    def call(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        on_result: Callable[[T], None] | None = None,
        on_error: Callable[[GatehouseError], None] | None = None,
        *,
        owner: QObject | None = None,
    ) -> concurrent.futures.Future[T]:
        """Run ``make()`` in the core thread; exactly one callback follows in Qt's thread, unless ``owner`` is gone.

        Without ``on_error`` the error becomes a notice. Cancelling the returned future cancels the coroutine; then no
        callback follows. After ``close`` nothing runs.
        """
        if self._closed:
            dropped: concurrent.futures.Future[T] = concurrent.futures.Future()
            dropped.cancel()
            return dropped
        future = self._core.submit(make())
        self._calls += 1

        def deliver() -> None:
            self._calls -= 1
            if future.cancelled() or (owner is not None and not shiboken6.isValid(owner)):
                return
            error = future.exception()
            if error is None:
                if on_result is not None:
                    on_result(future.result())
            elif not isinstance(error, GatehouseError):
                self.crashed.emit(error)
            elif on_error is not None:
                on_error(error)
            else:
                self.notice_raised.emit(events.NoticeRaised("error", error.code, error.sentence, error.hint))

        future.add_done_callback(lambda _: self._post(deliver))
        return future

    @property
    def idle(self) -> bool:
        """Whether every call was answered and nothing waits to be delivered."""
        with self._lock:
            return self._calls == 0 and not self._inbox and not self._growth

    def close(self) -> None:
        """Deliver nothing more."""
        self._closed = True
        self._unsubscribe()
        self._frame.stop()
        with self._lock:
            self._inbox.clear()

    def _post(self, item: events.Event | Callable[[], None]) -> None:
        """From any thread. Wakes Qt's thread once for everything that waits."""
        with self._lock:
            if self._closed:
                return
            self._inbox.append(item)
            if self._awake:
                return
            self._awake = True
        self._woken.emit()

    def _drain(self) -> None:
        with self._lock:
            self._awake = False
            waiting = list(self._inbox)
            self._inbox.clear()
        for item in waiting:
            if self._closed:
                return
            if isinstance(item, events.AnswerGrew):
                self._grow(item)
                continue
            self._flush_growth()
            if callable(item):
                item()
            else:
                self._emit(item)

    def _grow(self, event: events.AnswerGrew) -> None:
        before = self._growth.get(event.message_id)
        if before is not None:
            event = replace(before, text=before.text + event.text, reasoning=before.reasoning + event.reasoning)
        self._growth[event.message_id] = event
        if not self._frame.isActive():
            self._frame.start()

    def _flush_growth(self) -> None:
        growth, self._growth = self._growth, {}
        self._frame.stop()
        for event in growth.values():
            self.answer_grew.emit(event)

    def _emit(self, event: events.Event) -> None:
        signals: dict[type, Any] = {
            events.ConversationChanged: self.conversation_changed,
            events.ConversationDeleted: self.conversation_deleted,
            events.MessageAdded: self.message_added,
            events.BranchChosen: self.branch_chosen,
            events.AnswerFinished: self.answer_finished,
            events.ModelsChanged: self.models_changed,
            events.LoadedModelChanged: self.loaded_model_changed,
            events.DownloadsChanged: self.downloads_changed,
            events.DownloadProgressed: self.download_progressed,
            events.DownloadFinished: self.download_finished,
            events.DownloadFailed: self.download_failed,
            events.BundleProgressed: self.bundle_progressed,
            events.GateChanged: self.gate_changed,
            events.OfflineChanged: self.offline_changed,
            events.ProvidersChanged: self.providers_changed,
            events.GlossaryChanged: self.glossary_changed,
            events.BudgetChanged: self.budget_changed,
            events.AnswerFlagged: self.answer_flagged,
            events.LedgerGrew: self.ledger_grew,
            events.NamesSought: self.names_sought,
            events.BatchChanged: self.batch_changed,
            events.BatchRemoved: self.batch_removed,
            events.FilesAdded: self.files_added,
            events.FileChanged: self.file_changed,
            events.ValueChanged: self.value_changed,
            events.SchemasChanged: self.schemas_changed,
            events.AttachmentChanged: self.attachment_changed,
            events.NoticeRaised: self.notice_raised,
        }
        signals[type(event)].emit(event)
