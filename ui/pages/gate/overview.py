"""The overview: how much left this machine, and where text goes in this house, as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from app.chat.records import Conversation
from app.gate.label import GateMode, Label
from app.gate.records import BytesLeft, Provider
from app.vault.records import Lock, VaultState
from engine.worker.spec import Ready
from ui import display, gate_words
from ui.desk import Desk
from ui.pages.gate.data_map import DataMap, Facts
from ui.theme import GRID
from ui.widgets.parts import column, label


class OverviewView(QWidget):
    """Asks for everything anew when it comes to the front, and follows what happens meanwhile."""

    def __init__(self, desk: Desk, show_section: Callable[[str], None]) -> None:
        super().__init__()
        self._desk = desk
        self._facts = Facts()
        fonts = desk.themes.fonts
        self.count = label("", fonts.headline)
        self.note = label("", fonts.body, "muted", wrap=True)
        self.map = DataMap(desk.themes, desk.icons)
        self.map.wanted.connect(
            lambda where: (
                desk.go(where) if where in ("chat", "documents", "models", "settings") else show_section(where)
            )
        )
        frame = QScrollArea()
        frame.setWidgetResizable(True)
        frame.setFrameShape(QFrame.Shape.NoFrame)
        frame.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        frame.setWidget(self.map)
        legend = label(
            self.tr("Solid: on now. Dashed: off now. Violet is outside this machine. Choose a box to see more."),
            fonts.caption,
            "muted",
            wrap=True,
        )
        layout = column(column(self.count, self.note, spacing=2), frame, legend, spacing=2 * GRID)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        bridge = desk.bridge
        for signal in (
            bridge.ledger_grew,
            bridge.providers_changed,
            bridge.offline_changed,
            bridge.gate_changed,
            bridge.glossary_changed,
            bridge.loaded_model_changed,
        ):
            signal.connect(lambda _event: self.refresh())

    def enter(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Ask what is on now; each answer is shown as it comes."""
        services, call = self._desk.services, self._desk.bridge.call
        loaded = services.models.loaded()
        ready = isinstance(loaded.state, Ready) and loaded.plan is not None
        name = loaded.plan.model_name if ready and loaded.plan is not None else ""
        self._change(offline=services.gate.offline(), model=name)
        call(services.gate.bytes_left, self._show_bytes, owner=self)
        call(services.gate.providers, self._show_providers, owner=self)
        call(services.gate.glossary, lambda terms: self._change(terms=len(terms)), owner=self)
        call(services.chat.conversations, self._show_conversations, owner=self)
        call(services.store.state, self._show_store, owner=self)

    def _show_bytes(self, left: BytesLeft) -> None:
        self._change(left=left)
        if not left.total and left.since is not None:
            self.count.setText(self.tr("No request left this machine"))
            self.note.setText(gate_words.bytes_words(left))
        elif not left.total:
            self.count.setText(self.tr("0 bytes left this machine"))
            self.note.setText(self.tr("Nothing was ever asked of anybody else. The ledger would say so."))
        else:
            self.count.setText(self.tr("%1 left this machine").replace("%1", display.byte_size(left.total)))
            since = display.moment(left.since).split(",")[0] if left.since is not None else ""
            words = self.tr("Since %1. %2").replace("%1", since).replace("%2", gate_words.bytes_words(left))
            self.note.setText(words)

    def _show_providers(self, providers: Sequence[Provider]) -> None:
        self._change(providers=tuple(providers))

    def _show_conversations(self, conversations: Sequence[Conversation]) -> None:
        free = [found for found in conversations if found.label is not Label.RESTRICTED]
        modes = Counter(found.gate for found in free)
        self._change(conversations=len(conversations), asking=modes[GateMode.ASK], open=modes[GateMode.OPEN])

    def _show_store(self, state: VaultState) -> None:
        self._change(encrypted=state.lock is not Lock.PLAIN, in_keyring=state.lock is Lock.KEYRING)

    def _change(self, **changes: object) -> None:
        self._facts = replace(self._facts, **changes)  # type: ignore[arg-type]
        self.map.show_facts(self._facts)
