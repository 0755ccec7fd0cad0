"""The gate's values in words, with the icon and the tone that go with them. Pure.

Everything that names a mode, a label, a kind of finding or an outcome says it as this module does.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from app.gate.label import GateMode, Label
from app.gate.records import BytesLeft, LedgerRow, Outcome, Trust
from ui import display

KINDS = (
    "PERSON",
    "ORGANISATION",
    "ADDRESS",
    "PROJECT",
    "EMAIL",
    "PHONE",
    "IBAN",
    "CARD",
    "TAX_ID",
    "HEALTH_ID",
    "KEY",
)
"""Kinds that a person may give to a word of the glossary, in the order to offer them."""


def mode_words(mode: GateMode) -> str:
    """``Local only``, ``Ask each time``, ``Open``."""
    return {
        GateMode.LOCAL: _tr("Local only"),
        GateMode.ASK: _tr("Ask each time"),
        GateMode.OPEN: _tr("Open"),
    }[mode]


def mode_meaning(mode: GateMode) -> str:
    """What the mode lets happen, in a sentence or two."""
    return {
        GateMode.LOCAL: _tr("Nothing in this conversation leaves this machine."),
        GateMode.ASK: _tr("The local model answers. You may ask the cloud, and see first exactly what would leave."),
        GateMode.OPEN: _tr("The local model answers. When you ask the cloud it is asked at once, without the sheet. "
                           "Names are still replaced, and labels still hold."),
    }[mode]  # fmt: skip


def mode_icon(mode: GateMode) -> str:
    return {GateMode.LOCAL: "lock", GateMode.ASK: "shield-check", GateMode.OPEN: "lock-open"}[mode]


def mode_tone(mode: GateMode) -> str:
    return {GateMode.LOCAL: "success", GateMode.ASK: "accent", GateMode.OPEN: "outside"}[mode]


def label_words(label: Label) -> str:
    """``Public`` … ``Restricted``."""
    return {
        Label.PUBLIC: _tr("Public"),
        Label.INTERNAL: _tr("Internal"),
        Label.CONFIDENTIAL: _tr("Confidential"),
        Label.RESTRICTED: _tr("Restricted"),
    }[label]


def label_meaning(label: Label) -> str:
    """What the label does, in a sentence."""
    return {
        Label.PUBLIC: _tr("Anybody may read it."),
        Label.INTERNAL: _tr("For you and those you work with. It may leave when you open the gate."),
        Label.CONFIDENTIAL: _tr("Leaves for a cloud only after you have seen what would leave."),
        Label.RESTRICTED: _tr("Never leaves this machine, whatever else is set."),
    }[label]


def label_tone(label: Label) -> str:
    return {Label.RESTRICTED: "danger", Label.CONFIDENTIAL: "warning"}.get(label, "muted")


def kind_words(kind: str) -> str:
    """A finding's kind as one says it: ``PERSON`` → ``person``; unknown kinds in small letters."""
    known = {
        "PERSON": _tr("person"),
        "ORGANISATION": _tr("organisation"),
        "ADDRESS": _tr("address"),
        "PROJECT": _tr("project"),
        "EMAIL": _tr("e-mail address"),
        "PHONE": _tr("phone number"),
        "IBAN": _tr("bank account (IBAN)"),
        "CARD": _tr("card number"),
        "TAX_ID": _tr("tax number"),
        "HEALTH_ID": _tr("health number"),
        "KEY": _tr("key or token"),
        "IP": _tr("network address"),
        "URL": _tr("web address"),
        "DATE": _tr("date"),
    }
    return known.get(kind, kind.replace("_", " ").lower())


def detector_words(detector: str) -> str:
    """Who found something."""
    known = {
        "checksum": _tr("pattern with checksum"),
        "pattern": _tr("pattern"),
        "glossary": _tr("your glossary"),
        "model": _tr("local model"),
        "repeat": _tr("occurs again"),
    }
    return known.get(detector, detector)


def trust_words(trust: Trust) -> str:
    return {"cloud": _tr("cloud"), "team": _tr("team server")}[trust]


def purpose_words(purpose: str) -> str:
    """Why a request left."""
    known = {
        "answer": _tr("Answer"),
        "test": _tr("Provider test"),
        "hub": _tr("Model search"),
        "download": _tr("Model download"),
    }
    return known.get(purpose, purpose)


def outcome_words(outcome: Outcome) -> str:
    return {
        Outcome.UNKNOWN: _tr("Not ended"),
        Outcome.COMPLETE: _tr("Complete"),
        Outcome.CUT: _tr("Cut off"),
        Outcome.STOPPED: _tr("Stopped"),
        Outcome.REFUSED: _tr("Refused"),
        Outcome.UNREACHABLE: _tr("Not reached"),
    }[outcome]


def outcome_tone(outcome: Outcome) -> str:
    return {Outcome.COMPLETE: "success", Outcome.STOPPED: "muted", Outcome.UNKNOWN: "muted"}.get(outcome, "warning")


def consent_words(row: LedgerRow) -> str:
    """Who agreed, and how."""
    known = {
        "sheet": _tr("you, on the sheet"),
        "open conversation": _tr("you, by opening the conversation"),
        "button": _tr("you, by a button"),
        "command": _tr("you, by a command"),
    }
    return known.get(row.consent, row.consent)


def bytes_words(left: BytesLeft) -> str:
    """``0 bytes left this machine.``, or how much and in how many requests today."""
    if not left.total and left.since is not None:  # a name server, and a server's door, were asked all the same
        return _tr("No request left this machine, though servers were sought; the ledger has each.")
    if not left.total:
        return _tr("0 bytes left this machine.")
    if not left.requests_today:
        return (
            _tr("0 bytes left this machine today; %1 since %2.")
            .replace("%1", display.byte_size(left.total))
            .replace("%2", display.moment(left.since or 0).split(",")[0])
        )
    words = _tr("%1 left this machine today, in 1 request.")
    if left.requests_today != 1:
        words = _tr("%1 left this machine today, in %2 requests.")
    return words.replace("%1", display.byte_size(left.today)).replace("%2", display.integer(left.requests_today))


def counted_kinds(counts: tuple[tuple[str, int], ...]) -> str:
    """``3 × person, 1 × bank account (IBAN)``; ``none`` for nothing."""
    return ", ".join(f"{count} × {kind_words(kind)}" for kind, count in counts) or _tr("none")


def _tr(text: str) -> str:
    return QCoreApplication.translate("gate", text)
