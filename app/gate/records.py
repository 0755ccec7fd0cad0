"""What the gate's parts hand to each other and to the window, as frozen values.

Times are seconds since the epoch, prices US dollars, spans half-open character offsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from app.gate.label import DEFAULT_LABEL, DEFAULT_MODE, GateMode, Label

Trust = Literal["cloud", "team"]
Tier = Literal["local", "larger", "cloud"]
"""Which model a prompt seems to need: the loaded one, a larger one on this machine, one elsewhere."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a text that names or identifies somebody or something."""

    kind: str
    """``PERSON``, ``ORGANISATION``, ``ADDRESS``, ``EMAIL``, ``IBAN`` …: a placeholder's name."""
    start: int
    end: int
    text: str
    detector: str
    """Who found it: ``checksum``, ``pattern``, ``glossary``, ``model``, ``repeat``."""
    score: float


@dataclass(frozen=True, slots=True)
class Redaction:
    """One string and the placeholder that stands for it in a conversation."""

    placeholder: str
    """E.g. ``[PERSON_1]``."""
    kind: str
    text: str
    count: int
    """How often it occurs in what would leave."""
    on: bool
    """False: the person lets this one leave as it is."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message of a request, before and after redaction. ``after`` is what leaves."""

    role: Literal["system", "user", "assistant"]
    before: str
    after: str
    source: str
    """Where it comes from, in words: ``your message``, ``system prompt``, a document's name."""
    edited: bool = False
    """The person changed what leaves; ``before`` is then their text."""
    label: Label = DEFAULT_LABEL


@dataclass(frozen=True, slots=True)
class OutgoingAttachment:
    """A document of which text is in what would leave."""

    name: str
    label: Label
    characters: int


@dataclass(frozen=True, slots=True)
class Provider:
    """Somebody elsewhere who answers. Its key is never part of it."""

    id: str
    """Empty for one that is not saved yet."""
    name: str
    base_url: str
    """Up to and with the version, e.g. ``https://api.example.com/v1``."""
    model: str
    trust: Trust = "cloud"
    n_ctx: int | None = None
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    has_key: bool = False

    @property
    def is_priced(self) -> bool:
        """True when what an answer costs can be said."""
        return self.input_usd_per_mtok is not None and self.output_usd_per_mtok is not None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something may leave, and why not."""

    allowed: bool
    code: str = ""
    sentence: str = ""
    """What happened and what can be done, for the person; empty when allowed."""
    hint: str = ""


ALLOWED = Verdict(True)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be asked of a model elsewhere. Exactly one of ``message_id`` and ``draft`` is given."""

    conversation_id: str | None
    """``None`` together with ``draft`` starts a conversation when it is sent, under ``label`` and ``mode``."""
    message_id: str | None = None
    """An answer, of which a sibling is asked for; with ``resume`` a cut answer, which is asked to go on."""
    draft: str = ""
    """What the person wrote and has not sent."""
    provider_id: str | None = None
    """``None`` takes the one that was used last, or the only one."""
    resume: bool = False
    label: Label = DEFAULT_LABEL
    """Of a conversation that begins with this, as are ``mode`` and ``system_prompt``; others have their own."""
    mode: GateMode = DEFAULT_MODE
    system_prompt: str = ""


@dataclass(frozen=True, slots=True)
class PreviewChange:
    """What the person changed in the sheet. Fields left at ``None`` stay as they are."""

    off: frozenset[str] | None = None
    """All placeholders that are switched off."""
    edits: Mapping[int, str] | None = None
    """All edited outgoing texts, by the message's index."""
    provider_id: str | None = None
    left_out: frozenset[int] | None = None
    """All messages that are not to be sent, by index. The last one always is."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Exactly what would leave, for the sheet. Any change makes a new one with the same id."""

    id: str
    conversation_id: str | None
    provider: Provider
    messages: tuple[OutgoingMessage, ...]
    redactions: tuple[Redaction, ...]
    body: bytes = field(repr=False)
    """The request's body, byte for byte; empty when the verdict forbids it."""
    body_sha256: str
    prompt_tokens: int
    """About; the provider counts with its own vocabulary."""
    cost_usd_at_most: float | None
    """With the longest answer that may come; ``None`` without prices."""
    label: Label
    """The strictest of everything in it."""
    mode: GateMode
    verdict: Verdict
    warnings: tuple[str, ...] = ()
    """What detectors may miss, what is not priced, what is long: sentences."""
    attachments: tuple[OutgoingAttachment, ...] = ()
    max_tokens: int | None = None
    findings: tuple[tuple[Finding, ...], ...] = ()
    """For each message, found in ``before``."""
    left_out: frozenset[int] = frozenset()


class Outcome(StrEnum):
    """What became of a request."""

    UNKNOWN = "unknown"
    """Begun and never ended: the process died, or it still runs."""
    COMPLETE = "complete"
    CUT = "cut"
    """The answer's stream broke, stalled, or was not understood."""
    STOPPED = "stopped"
    """The person stopped it."""
    REFUSED = "refused"
    """The provider answered with an error."""
    UNREACHABLE = "unreachable"
    """No connection; what was written in ``bytes_out`` may still have left."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One row of the ledger: a request that begins, or how it ended. Bodies are never kept, only their hash."""

    seq: int
    request_id: str
    """Shared by a request's two rows."""
    part: Literal["begun", "ended"]
    at: float
    purpose: str
    """``answer``, ``test``, ``hub``, ``download``."""
    host: str
    """With the port when it is not the scheme's own."""
    conversation_id: str | None = None
    provider: str = ""
    model: str = ""
    label: Label | None = None
    mode: GateMode | None = None
    consent: str = ""
    """Who agreed, and how: ``sheet``, ``open conversation``, ``button``, ``command``."""
    bytes_out: int = 0
    bytes_in: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    redactions: tuple[tuple[str, int], ...] = ()
    """Counts by kind."""
    cost_usd: float | None = None
    """Of ``begun`` at most, of ``ended`` really."""
    body_sha256: str = ""
    outcome: Outcome = Outcome.UNKNOWN
    mac: str = ""
    """Hex of the chained HMAC."""


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Requests, the latest first; each with both of its rows where both are there."""

    rows: tuple[LedgerRow, ...]
    before: int | None
    """Pass it to get the page before; ``None`` at the beginning of the ledger."""
    total: int
    """Requests in the whole ledger."""


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """What verifying the chain found."""

    intact: bool
    rows: int
    bad_seq: int | None
    """The first row that is not what was written."""
    sentence: str
    head: str = ""
    """Hex of the last row's HMAC, to be written down elsewhere."""


@dataclass(frozen=True, slots=True)
class BytesLeft:
    """How much left this machine through the gate."""

    total: int
    today: int
    requests_today: int
    since: float | None
    """When the ledger began; ``None`` while it is empty."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent and what was. ``None`` is no limit."""

    day_usd: float | None
    month_usd: float | None
    spent_day_usd: float
    spent_month_usd: float
    """With what running requests may cost at most."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the glossary: always hidden, as this kind."""

    id: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Place:
    """A workspace, or a folder in one."""

    id: str
    parent_id: str | None
    """``None`` for a workspace."""
    name: str
    label: Label
    """Its own; what lies in it has at least this."""
    effective: Label
    """With those that it lies in."""


@dataclass(frozen=True, slots=True)
class ProviderTest:
    """What a provider said to a smallest request."""

    ok: bool
    sentence: str
    ttft_s: float | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flag:
    """Why an answer may not be good enough."""

    tier: Tier
    """What the prompt seems to need."""
    reasons: tuple[str, ...]
    """In words, the weightiest first."""
    kept: bool = False
    """The person keeps the answer; the line under it is gone."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What a flagged answer offers beside *keep*."""

    larger_model_id: str | None
    """A larger model on this machine's disk that fits; ``None`` when there is none."""
    larger_model_name: str
    cloud: Verdict
    """Whether *Ask the cloud…* can be chosen, and why not."""

    @property
    def any(self) -> bool:
        """Whether there is anything to choose. A doubt that nothing can be done about is not shown."""
        return self.larger_model_id is not None or self.cloud.allowed


@dataclass(frozen=True, slots=True)
class Routed:
    """What a prompt seems to need, before anybody answers it."""

    tier: Tier
    reasons: tuple[str, ...]
    forbidden: tuple[tuple[Tier, str], ...]
    """Tiers that cannot be used, each with the sentence that says why."""
