"""Whether something may leave. One pure function, asked before a prompt's difficulty is looked at, after it, and again
about the final bytes; each time with more of the facts known.

What is not known yet is ``None`` and forbids nothing. The first fact that forbids is the one that is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.gate import budget as budgets
from app.gate.label import GateMode, Label
from app.gate.offline import OFFLINE_VARIABLE
from app.gate.records import ALLOWED, Budget, Provider, Verdict
from engine.errors import GatehouseError

_MOST_NAMES = 3
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the decision looks at."""

    label: Label
    """The strictest of everything in what would leave."""
    mode: GateMode
    offline: bool
    has_provider: bool
    """Whether anybody is set up who could be asked."""
    provider: Provider | None = None
    """Who would be asked."""
    with_sheet: bool = True
    """Whether the person sees what would leave before it does."""
    prompt_tokens: int | None = None
    max_tokens: int | None = None
    cost_usd_at_most: float | None = None
    budget: Budget | None = None
    leaks: tuple[str, ...] | None = None
    """Kinds of what must not leave and is in the final bytes; ``None`` before there are any."""
    offline_forced: bool = False
    """The environment holds the switch on, so that no other switch helps."""
    quoted: tuple[str, ...] | None = None
    """Names of restricted conversations and documents that the final bytes quote."""


def judge(facts: Facts) -> Verdict:
    """The verdict on these facts."""
    for rule in (_restricted, _local_only, _offline, _nobody, _quoted, _unseen, _leaks, _too_long, _budget):
        verdict = rule(facts)
        if verdict is not None:
            return verdict
    return ALLOWED


def refuse(verdict: Verdict) -> None:
    """Raises ``GatehouseError`` with the verdict's words unless it allows."""
    if not verdict.allowed:
        raise GatehouseError(verdict.code, verdict.sentence, verdict.hint)


def _restricted(facts: Facts) -> Verdict | None:
    if facts.label is not Label.RESTRICTED:
        return None
    return Verdict(
        False,
        "restricted",
        "Something in this is restricted: nothing of it leaves this machine, whatever else is set.",
        "Leave it out, or ask the local model.",
    )


def _local_only(facts: Facts) -> Verdict | None:
    if facts.mode is not GateMode.LOCAL:
        return None
    return Verdict(
        False,
        "local_only",
        "This conversation is local only: nothing of it leaves this machine.",
        "Switch its gate to “Ask each time”.",
    )


def _offline(facts: Facts) -> Verdict | None:
    if not facts.offline:
        return None
    return Verdict(
        False,
        "offline",
        "Gatehouse is switched offline: nobody else is asked.",
        f"{OFFLINE_VARIABLE} is set; start Gatehouse without it."
        if facts.offline_forced
        else "Set-up has the switch, and so has `gatehouse offline`.",
    )


def _nobody(facts: Facts) -> Verdict | None:
    if facts.has_provider:
        return None
    return Verdict(
        False,
        "no_provider",
        "There is nobody to ask: no provider is set up.",
        "Add one on the Gate page, or with `gatehouse providers add`.",
    )


def _unseen(facts: Facts) -> Verdict | None:
    if facts.with_sheet:
        return None
    if facts.mode is not GateMode.OPEN:
        return Verdict(
            False,
            "needs_sheet",
            "This conversation is set to “Ask each time”.",
            "Look at what would leave, then send it.",
        )
    is_cloud = facts.provider is None or facts.provider.trust == "cloud"
    if facts.label is Label.CONFIDENTIAL and is_cloud:
        return Verdict(
            False,
            "needs_sheet",
            "What is confidential goes to the cloud only after you have seen what would leave.",
            "Look at it, then send it.",
        )
    return None


def _quoted(facts: Facts) -> Verdict | None:
    if not facts.quoted:
        return None
    names = [f"“{_short(name)}”" for name in facts.quoted[:_MOST_NAMES]]
    more = f" and {len(facts.quoted) - _MOST_NAMES:,} more" if len(facts.quoted) > _MOST_NAMES else ""
    return Verdict(
        False,
        "restricted_quote",
        f"Something in this is word for word what is restricted: in {', '.join(names)}{more}. It does not leave this"
        " machine from here either.",
        "Take the passage out, or ask the local model. If it may leave, give what it is from another label.",
    )


def _short(name: str) -> str:
    """A title or a file's name, which a stranger may have given."""
    plain = " ".join("".join(one if one.isprintable() else " " for one in name).split())
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[: _LONGEST_NAME - 1]}…"


def _leaks(facts: Facts) -> Verdict | None:
    if not facts.leaks:
        return None
    kinds = ", ".join(sorted(set(facts.leaks)))
    return Verdict(
        False,
        "leak",
        f"The last look at the bytes that would leave found {len(facts.leaks)} strings that must stay: {kinds}.",
        "Take them out of the text, or stay local.",
    )


def _too_long(facts: Facts) -> Verdict | None:
    provider, tokens = facts.provider, facts.prompt_tokens
    if provider is None or provider.n_ctx is None or tokens is None or tokens < provider.n_ctx:
        return None
    return Verdict(
        False,
        "context_overflow",
        f"This takes about {tokens:,} tokens, and {provider.model} of {provider.name} holds {provider.n_ctx:,}.",
        "Leave earlier messages out, or choose another provider.",
    )


def _budget(facts: Facts) -> Verdict | None:
    if facts.budget is None or facts.provider is None:
        return None
    try:
        budgets.check(facts.budget, facts.cost_usd_at_most, facts.provider.name)
    except GatehouseError as error:
        return Verdict(False, error.code, error.sentence, error.hint)
    return None
