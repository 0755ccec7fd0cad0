"""What the gate might hold on the machine of the samples: providers, a ledger, a letter that names people."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from app.chat.records import AnswerStats, Message, MessageStatus, Role
from app.gate.label import GateMode, Label
from app.gate.records import (
    Budget,
    Flag,
    LedgerRow,
    Outcome,
    OutgoingAttachment,
    Place,
    Provider,
    Term,
)
from ui.screenshots import sample, sample_chat

LARGE = Provider(
    id="p1",
    name="OpenAI",
    base_url="https://api.openai.com/v1",
    model="gpt-5-mini",
    n_ctx=400_000,
    input_usd_per_mtok=0.25,
    output_usd_per_mtok=2.0,
    has_key=True,
)
TEAM = Provider(
    id="p2",
    name="Reading room",
    base_url="https://llm.office.example:8443/v1",
    model="Qwen3-235B-A22B",
    trust="team",
    n_ctx=131_072,
    input_usd_per_mtok=0.0,
    output_usd_per_mtok=0.0,
    has_key=True,
)
KEYLESS = Provider(
    id="p3",
    name="Mistral",
    base_url="https://api.mistral.ai/v1",
    model="mistral-large-latest",
    n_ctx=131_072,
)
PROVIDERS = (LARGE, TEAM, KEYLESS)

SENSITIVE = (
    ("Anna Keller", "PERSON", "model", 0.94),
    ("Mrs Keller", "PERSON", "repeat", 0.94),
    ("Jonas Brandt", "PERSON", "glossary", 1.0),
    ("Lindenstraße 14, 20537 Hamburg", "ADDRESS", "model", 0.88),
    ("DE89 3704 0044 0532 0130 00", "IBAN", "checksum", 1.0),
    ("anna.keller@hausverwaltung.example", "EMAIL", "pattern", 1.0),
    ("+49 40 5550 1234", "PHONE", "pattern", 0.85),
)
"""Strings of the letter with their kind, who finds them, and how surely."""

LETTER = """Please write a firm but friendly letter to my landlady Anna Keller \
(anna.keller@hausverwaltung.example, +49 40 5550 1234). Since October the north wall of my flat at \
Lindenstraße 14, 20537 Hamburg is damp, I told Mrs Keller on 4 November and nothing has happened.

I would like: the damp measured within two weeks, 15 % off the rent until it is gone, and the 212 € that I paid for \
the dryer back on DE89 3704 0044 0532 0130 00. Sign it Jonas Brandt."""
LETTER_ANSWER = """Dear Mrs Keller,

since October the north wall of my flat has been damp. I told you about it on 4 November. Please have it looked at.

I would like to pay less rent until then.

Jonas Brandt"""
FOLLOW_UP = "Name the paragraphs of the law that this rests on, and say what happens if she does not answer."
FOLLOW_UP_ANSWER = "This may rest on § 535 and § 536 BGB. If she does not answer, you could perhaps write again."
CLOUD_ANSWER = """The claim rests on three paragraphs of the German Civil Code:

- **§ 535 (1)**: Mrs Keller has to keep the flat in a usable state while the lease runs.
- **§ 536 (1)**: while it is damp the rent is reduced by law, without her consent.
- **§ 536a (2)**: you may claim back the 212 € for the dryer, because she was in default since 4 November.

If she does not answer within two weeks, set a last date in writing. After that you may have the wall measured \
yourself and ask for the cost, or go to the local court; below 5,000 € no lawyer is needed."""

FLAG = Flag(
    "cloud",
    (
        "it asks for law that small models often get wrong",
        "the model was unsure of 14 % of its words",
        "it asks for two things at once",
    ),
)
LOCAL_STATS = replace(sample_chat.STATS, prompt_tokens=318, cached_tokens=0, completion_tokens=74)
CLOUD_STATS = AnswerStats(
    prompt_tokens=402,
    cached_tokens=0,
    completion_tokens=214,
    ttft_s=1.1,
    decode_tok_s=84.0,
    total_s=3.7,
    finish_reason="stop",
    device="",
    route="cloud",
    cost_usd=0.00053,
    provider="OpenAI",
    request_id="r14",
)


def message(
    place: int,
    role: Role,
    text: str,
    *,
    stats: AnswerStats | None = LOCAL_STATS,
    status: MessageStatus = MessageStatus.COMPLETE,
    error: str = "",
    flag: Flag | None = None,
    branches: tuple[int, int] = (0, 1),
    model_id: str | None = None,
) -> Message:
    """A message about the letter."""
    made = sample_chat.message(place, role, text, status, error=error, branches=branches, stats=stats)
    parent = f"l{place - 1}" if place > 1 else None
    made = replace(made, id=f"l{place}", parent_id=parent, conversation_id="c4", flag=flag)
    return replace(made, model_id=model_id) if model_id is not None else made


OPENING = (message(1, "user", LETTER), message(2, "assistant", LETTER_ANSWER), message(3, "user", FOLLOW_UP))
FLAGGED = (*OPENING, message(4, "assistant", FOLLOW_UP_ANSWER, flag=FLAG))
ANSWERED = (
    *OPENING,
    message(4, "assistant", CLOUD_ANSWER, stats=CLOUD_STATS, branches=(1, 2), model_id=LARGE.model),
)
CUT = (
    *OPENING,
    message(
        4,
        "assistant",
        CLOUD_ANSWER[: CLOUD_ANSWER.index("- **§ 536a")].rstrip(),
        stats=replace(CLOUD_STATS, completion_tokens=96, finish_reason=None, cost_usd=0.00029),
        status=MessageStatus.INTERRUPTED,
        error="OpenAI's answer broke off after 96 tokens: the connection was closed. Nothing was sent again.",
        branches=(1, 2),
        model_id=LARGE.model,
    ),
)
FAILED = (
    *OPENING,
    message(
        4,
        "assistant",
        "",
        stats=replace(CLOUD_STATS, completion_tokens=None, ttft_s=None, decode_tok_s=None, cost_usd=None),
        status=MessageStatus.FAILED,
        error="OpenAI refused the key (401). The local answer is still there; nothing was sent again.",
        branches=(1, 2),
        model_id=LARGE.model,
    ),
)

ATTACHMENT = OutgoingAttachment("lease-2021.pdf", Label.INTERNAL, 2_184)
PLACES = (
    Place("w1", None, "Home", Label.INTERNAL, Label.INTERNAL),
    Place("w1a", "w1", "Flat", Label.CONFIDENTIAL, Label.CONFIDENTIAL),
    Place("w1b", "w1", "Recipes", Label.PUBLIC, Label.INTERNAL),
    Place("w2", None, "Practice", Label.RESTRICTED, Label.RESTRICTED),
    Place("w2a", "w2", "Patients", Label.INTERNAL, Label.RESTRICTED),
)
GLOSSARY = (
    Term(1, "Jonas Brandt", "PERSON"),
    Term(2, "Project Halyard", "PROJECT"),
    Term(3, "Brandt & Sohn", "ORGANISATION"),
    Term(4, "Keller", "PERSON"),
)
BUDGET = Budget(day_usd=1.0, month_usd=10.0, spent_day_usd=0.0231, spent_month_usd=3.4172)
SPENT = Budget(day_usd=1.0, month_usd=10.0, spent_day_usd=1.0, spent_month_usd=7.9034)

_HOUR = 3600.0


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def _request(
    number: int,
    ago_s: float,
    provider: Provider,
    *,
    purpose: str = "answer",
    conversation: str | None = "c4",
    consent: str = "sheet",
    label: Label = Label.INTERNAL,
    mode: GateMode = GateMode.ASK,
    out: int = 3_120,
    back: int = 9_480,
    tokens: tuple[int, int] = (402, 214),
    redactions: tuple[tuple[str, int], ...] = (("PERSON", 3), ("IBAN", 1), ("EMAIL", 1), ("ADDRESS", 1)),
    outcome: Outcome = Outcome.COMPLETE,
) -> tuple[LedgerRow, LedgerRow]:
    answered = outcome in (Outcome.COMPLETE, Outcome.CUT) and purpose in ("answer", "test")
    price = (provider.input_usd_per_mtok or 0) * tokens[0] + (provider.output_usd_per_mtok or 0) * tokens[1]
    begun = LedgerRow(
        seq=2 * number - 1,
        request_id=f"r{number}",
        part="begun",
        at=sample.NOW - ago_s,
        purpose=purpose,
        host=provider.base_url.split("/")[2],
        conversation_id=conversation,
        provider=provider.name,
        model=provider.model,
        label=label,
        mode=mode,
        consent=consent,
        bytes_out=out,
        prompt_tokens=tokens[0],
        redactions=redactions,
        cost_usd=(price + 4_000) / 1e6 if purpose in ("answer", "test") else None,
        body_sha256=_digest(f"body{number}"),
        mac=_digest(f"begun{number}"),
    )
    ended = replace(
        begun,
        seq=2 * number,
        part="ended",
        at=begun.at + 4,
        bytes_in=back,
        completion_tokens=tokens[1],
        cost_usd=price / 1e6 if answered else begun.cost_usd and 0.0,
        outcome=outcome,
        mac=_digest(f"ended{number}"),
    )
    return begun, ended


_HUB = Provider("", "", "https://huggingface.co/api", "", input_usd_per_mtok=0.0, output_usd_per_mtok=0.0)
_REQUESTS = (
    _request(14, 300, LARGE),
    _request(13, 1_900, LARGE, tokens=(377, 96), back=4_210, outcome=Outcome.CUT),
    _request(12, 2.2 * _HOUR, TEAM, conversation="c2", consent="open conversation", mode=GateMode.OPEN,
             tokens=(1_480, 611), out=9_870, back=28_400, redactions=()),
    _request(11, 2.6 * _HOUR, LARGE, conversation="c3", tokens=(298, 377), out=2_440, redactions=(("PERSON", 1),)),
    _request(10, 5 * _HOUR, LARGE, purpose="test", conversation=None, consent="button", tokens=(8, 1), out=212,
             back=640, redactions=()),
    _request(9, 26 * _HOUR, _HUB, purpose="download", conversation=None, consent="button", out=4_830,
             back=2_501_771_264, tokens=(0, 0), redactions=()),
    _request(8, 26.1 * _HOUR, _HUB, purpose="hub", conversation=None, consent="button", out=1_022, back=48_112,
             tokens=(0, 0), redactions=()),
    _request(7, 30 * _HOUR, LARGE, conversation="c7", label=Label.PUBLIC, consent="open conversation",
             mode=GateMode.OPEN, tokens=(212, 480), out=1_860, back=19_240, redactions=()),
    _request(6, 50 * _HOUR, KEYLESS, conversation="c8", tokens=(640, 0), out=4_410, back=310, redactions=(),
             outcome=Outcome.REFUSED),
    _request(5, 50.2 * _HOUR, KEYLESS, conversation="c8", tokens=(640, 0), out=0, back=0, redactions=(),
             outcome=Outcome.UNREACHABLE),
)  # fmt: skip
LEDGER = tuple(row for begun, ended in _REQUESTS for row in (ended, begun))
"""The latest first."""
