"""Requests that left as rows: a request is the two rows of the ledger that belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from PySide6.QtCore import QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel

from app.gate.records import LedgerRow, Outcome
from ui import display, gate_words
from ui.theme import ThemeStore
from ui.widgets.records_table import RECORD, SORT, Field, RecordsTable

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class Request:
    """What left, and what became of it as far as the ledger says."""

    begun: LedgerRow
    ended: LedgerRow | None

    @property
    def last(self) -> LedgerRow:
        """The row that knows most."""
        return self.ended or self.begun

    @property
    def outcome(self) -> Outcome:
        return self.ended.outcome if self.ended is not None else Outcome.UNKNOWN

    @property
    def whom(self) -> str:
        """Who was asked, in words."""
        return display.provider(self.begun.provider, self.begun.model) or self.begun.host


class Column(IntEnum):
    """The columns, in their order."""

    WHEN = 0
    PURPOSE = 1
    WHOM = 2
    LABEL = 3
    SENT = 4
    RECEIVED = 5
    COST = 6
    OUTCOME = 7


def _cost(request: Request) -> str:
    cost = request.last.cost_usd
    return display.usd(cost) if cost is not None else "—"


def _label(request: Request) -> str:
    return gate_words.label_words(request.begun.label) if request.begun.label is not None else "—"


def _label_tone(request: Request) -> str:
    return gate_words.label_tone(request.begun.label) if request.begun.label is not None else "muted"


_FIELDS: tuple[Field[Request], ...] = (
    Field("When", lambda r: display.moment(r.begun.at), lambda r: r.begun.at),
    Field("Why", lambda r: gate_words.purpose_words(r.begun.purpose)),
    Field("Sent to", lambda r: r.whom, lambda r: r.whom.casefold(), name=True),
    Field(
        "Label",
        _label,
        lambda r: float(r.begun.label.rank if r.begun.label is not None else -1),
        tone=_label_tone,
    ),
    Field("Sent", lambda r: display.byte_size(r.last.bytes_out), lambda r: float(r.last.bytes_out), right=True),
    Field("Came", lambda r: display.byte_size(r.last.bytes_in), lambda r: float(r.last.bytes_in), right=True),
    Field("Cost", _cost, lambda r: r.last.cost_usd or 0.0, right=True),
    Field(
        "Outcome",
        lambda r: gate_words.outcome_words(r.outcome),
        tone=lambda r: gate_words.outcome_tone(r.outcome),
    ),
)
"""By ``Column``."""


def requests_of(rows: Sequence[LedgerRow]) -> list[Request]:
    """Pairs the rows of requests, the latest first. A row whose other half is on another page stands alone."""
    begun = {row.request_id: row for row in rows if row.part == "begun"}
    ended = {row.request_id: row for row in rows if row.part == "ended"}
    keys = dict.fromkeys(row.request_id for row in rows)
    return [Request(begun.get(key) or ended[key], ended.get(key)) for key in keys]


class LedgerTable(RecordsTable[Request]):
    """Grows at its end by pages, at its head by what happens."""

    def __init__(self, themes: ThemeStore, parent: QObject | None = None) -> None:
        super().__init__(themes, _FIELDS, "ledger", tip=lambda request: request.begun.host, parent=parent)
        self._rows: dict[int, LedgerRow] = {}

    def show_rows(self, rows: Sequence[LedgerRow]) -> None:
        """Others altogether."""
        self._rows = {}
        self.add(rows)

    def add(self, rows: Sequence[LedgerRow]) -> None:
        """More rows, older or newer; known ones are replaced."""
        self._rows |= {row.seq: row for row in rows}
        self.replace(requests_of([self._rows[seq] for seq in sorted(self._rows, reverse=True)]))


class LedgerFilter(QSortFilterProxyModel):
    """Requests in which every word occurs: whom, why, how it ended, the conversation's title."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()
        self._purpose = ""
        self._titles: Mapping[str, str] = {}
        self.setSortRole(SORT)

    def set_filter(self, text: str, purpose: str) -> None:
        self.beginFilterChange()
        self._words, self._purpose = tuple(text.casefold().split()), purpose
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def set_titles(self, titles: Mapping[str, str]) -> None:
        """Of conversations, by id."""
        self._titles = titles

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:
        request = self.sourceModel().index(source_row, 0).data(RECORD)
        assert isinstance(request, Request)
        if self._purpose and request.begun.purpose != self._purpose:
            return False
        title = self._titles.get(request.begun.conversation_id or "", "")
        words = [field.words(request) for field in _FIELDS]
        text = " ".join((*words, request.begun.host, title, request.begun.consent)).casefold()
        return all(word in text for word in self._words)


def details_of(request: Request, titles: Mapping[str, str]) -> list[tuple[str, str]]:
    """Everything that the ledger says of a request, as name and value."""
    begun, last = request.begun, request.last
    rows = [
        (_tr("Began"), display.moment(begun.at)),
        (_tr("Ended"), display.moment(request.ended.at) if request.ended is not None else _tr("not yet, or never")),
        (_tr("Outcome"), gate_words.outcome_words(request.outcome)),
        (_tr("Why"), gate_words.purpose_words(begun.purpose)),
        (_tr("Host"), begun.host),
    ]
    if begun.provider or begun.model:
        rows.append((_tr("Sent to"), display.provider(begun.provider, begun.model)))
    if begun.conversation_id is not None:
        rows.append((_tr("Conversation"), titles.get(begun.conversation_id, _tr("deleted"))))
    if begun.mode is not None and begun.label is not None:
        setting = f"{gate_words.mode_words(begun.mode)} · {gate_words.label_words(begun.label)}"
        rows.append((_tr("Gate and label"), setting))
    rows.append((_tr("Agreed to by"), gate_words.consent_words(begun)))
    rows.append((_tr("Sent"), _bytes(last.bytes_out)))
    rows.append((_tr("Came back"), _bytes(last.bytes_in)))
    if last.prompt_tokens:
        rows.append((_tr("Prompt"), display.tokens(last.prompt_tokens)))
    if last.completion_tokens:
        rows.append((_tr("Answer"), display.tokens(last.completion_tokens)))
    if begun.purpose in ("answer", "test"):
        rows.append((_tr("Hidden"), gate_words.counted_kinds(begun.redactions)))
        rows.append((_tr("Cost"), _money(request)))
    rows.append((_tr("SHA-256 of the body"), begun.body_sha256 or "—"))
    rows.append((_tr("Ledger's seal"), last.mac or "—"))
    return rows


def _money(request: Request) -> str:
    most, really = request.begun.cost_usd, request.ended.cost_usd if request.ended is not None else None
    if most is None and really is None:
        return _tr("not known")
    if really is None:
        return _tr("at most %1").replace("%1", display.usd(most or 0.0))
    words = display.usd(really)
    return words if most is None else _tr("%1 (at most %2)").replace("%1", words).replace("%2", display.usd(most))


def _bytes(count: int) -> str:
    words = display.byte_size(count)
    if count < 1000:
        return words
    return _tr("%1 (%2 bytes)").replace("%1", words).replace("%2", display.integer(count))


def _tr(text: str) -> str:
    return QCoreApplication.translate("ledger", text)
