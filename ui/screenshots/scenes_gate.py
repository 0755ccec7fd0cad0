"""The scenes of the gate: its control, the sheet in every state, flagged and bought answers, the Gate page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from app.gate.label import GateMode, Label
from app.gate.records import LedgerCheck, Verdict
from engine.errors import GatehouseError
from ui.pages.chat import ChatPage
from ui.pages.gate.detectors import DetectorsView
from ui.pages.gate.page import GatePage
from ui.screenshots import sample, sample_gate
from ui.screenshots.scenes import Scene
from ui.screenshots.stage import Stage


def _card(stage: Stage) -> None:
    page = stage.letter(sample_gate.FLAGGED)
    card = page.composer.gate.open_card()
    stage.settle()
    stage.over(card)


def _open_mode(stage: Stage) -> None:
    page = stage.letter(sample_gate.ANSWERED, GateMode.OPEN)
    page.composer.set_draft("And what may I ask for the wet bookshelf?")


def _flagged(stage: Stage) -> None:
    stage.letter(sample_gate.FLAGGED)


def _cut(stage: Stage) -> None:
    stage.letter(sample_gate.CUT)


def _failed(stage: Stage) -> None:
    stage.letter(sample_gate.FAILED)


def _sheet(stage: Stage) -> ChatPage:
    page = stage.letter(sample_gate.FLAGGED)
    page.ask_cloud()
    stage.settle()
    return page


def _sheet_plain(stage: Stage) -> None:
    stage.gate.attachments = (sample_gate.ATTACHMENT,)
    page = _sheet(stage)
    page.gate.sheet.left.verticalScrollBar().setValue(0)


def _sheet_switched(stage: Stage) -> None:
    page = _sheet(stage)
    chips = page.gate.sheet.chips
    chips.setFocus()
    chips.setCurrentIndex(chips.model_.index(3))
    chips.model_.toggle(chips.model_.index(3))
    stage.settle()


def _sheet_edit(stage: Stage) -> None:
    page = _sheet(stage)
    page.gate.sheet.edit_button.click()


def _sheet_bytes(stage: Stage) -> None:
    page = _sheet(stage)
    page.gate.sheet.shown.choose("bytes")
    page.gate.sheet.shown.chosen.emit("bytes")


def _sheet_waiting(stage: Stage) -> None:
    stage.gate.held = asyncio.Event()
    page = stage.letter(sample_gate.FLAGGED)
    page.ask_cloud()
    stage.settle(limit_s=0.5)


def _sheet_refused(stage: Stage) -> None:
    stage.gate.budget_ = sample_gate.SPENT
    stage.gate.refusal = Verdict(
        False,
        "budget",
        "This may cost up to $0.0042, and of this day's $1.00 only $0.0000 are left, so nothing was sent.",
        "Raise the budget, choose a cheaper provider, or stay local.",
    )
    _sheet(stage)


def _sheet_offline(stage: Stage) -> None:
    stage.run(stage.gate.set_offline(True))
    _sheet(stage)


def _sheet_failed(stage: Stage) -> None:
    stage.gate.trouble = GatehouseError(
        "scanner_failed",
        "The detectors stopped in the middle of the text, so nothing may leave.",
        "Try again. If it stays so, Gatehouse keeps everything local.",
    )
    _sheet(stage)


def _sheet_restricted(stage: Stage) -> None:
    stage.chat.items["c4"] = replace(stage.chat.items["c4"], label=Label.RESTRICTED, own_label=Label.RESTRICTED)
    _sheet(stage)


def _nothing(stage: Stage) -> None:
    """The page as it opens."""


def _section(key: str) -> Callable[[Stage], None]:
    def show(stage: Stage) -> None:
        page = stage.window.page("gate")
        assert isinstance(page, GatePage)
        page.show_section(key)

    return show


def _map_open(stage: Stage) -> None:
    stage.chat.items["c4"] = replace(stage.chat.items["c4"], gate=GateMode.ASK)
    stage.chat.items["c3"] = replace(stage.chat.items["c3"], gate=GateMode.ASK)
    stage.chat.items["c2"] = replace(stage.chat.items["c2"], gate=GateMode.OPEN)
    _section("map")(stage)


def _map_offline(stage: Stage) -> None:
    stage.run(stage.gate.set_offline(True))
    _map_open(stage)


def _verified(stage: Stage) -> None:
    _section("ledger")(stage)
    stage.settle()
    stage.click("Verify")


def _tampered(stage: Stage) -> None:
    stage.gate.check = LedgerCheck(False, 20, 13, "The ledger was changed.", "")
    _verified(stage)


def _tested(stage: Stage) -> None:
    _section("providers")(stage)
    stage.settle()
    stage.click("Test")


def _removed(stage: Stage) -> None:
    _section("providers")(stage)
    stage.settle()
    stage.click("Remove")


def _tried(stage: Stage) -> None:
    page = stage.window.page("gate")
    assert isinstance(page, GatePage)
    page.show_section("detectors")
    view = page.sections["detectors"]
    assert isinstance(view, DetectorsView)
    view.tries.text.setPlainText(sample_gate.LETTER)
    view.tries.scan()


def _spent(stage: Stage) -> None:
    stage.gate.budget_ = sample_gate.SPENT
    _section("budgets")(stage)


GATE_SCENES = (
    Scene("gate", _map_open, page="gate", furnished=True),
    Scene("gate-first", _nothing, page="gate", loaded=sample.READY),
    Scene("gate-offline", _map_offline, page="gate", furnished=True),
    Scene("gate-narrow", _map_open, page="gate", furnished=True, width=760),
    Scene("gate-ledger", _section("ledger"), page="gate", furnished=True),
    Scene("gate-ledger-verified", _verified, page="gate", furnished=True),
    Scene("gate-ledger-tampered", _tampered, page="gate", furnished=True),
    Scene("gate-ledger-empty", _section("ledger"), page="gate"),
    Scene("gate-ledger-narrow", _section("ledger"), page="gate", furnished=True, width=760),
    Scene("gate-providers", _tested, page="gate", furnished=True),
    Scene("gate-providers-empty", _section("providers"), page="gate"),
    Scene("gate-providers-removed", _removed, page="gate", furnished=True),
    Scene("gate-labels", _section("labels"), page="gate", furnished=True),
    Scene("gate-labels-empty", _section("labels"), page="gate"),
    Scene("gate-detectors", _tried, page="gate", furnished=True),
    Scene("gate-detectors-empty", _section("detectors"), page="gate"),
    Scene("gate-budgets", _section("budgets"), page="gate", furnished=True),
    Scene("gate-budgets-spent", _spent, page="gate", furnished=True),
    Scene("gate-card", _card, furnished=True),
    Scene("gate-open", _open_mode, furnished=True),
    Scene("gate-flagged", _flagged, furnished=True),
    Scene("gate-cut", _cut, furnished=True),
    Scene("gate-failed", _failed, furnished=True),
    Scene("gate-sheet", _sheet_plain, furnished=True),
    Scene("gate-sheet-switched", _sheet_switched, furnished=True),
    Scene("gate-sheet-edit", _sheet_edit, furnished=True),
    Scene("gate-sheet-bytes", _sheet_bytes, furnished=True),
    Scene("gate-sheet-waiting", _sheet_waiting, furnished=True),
    Scene("gate-sheet-refused", _sheet_refused, furnished=True),
    Scene("gate-sheet-offline", _sheet_offline, furnished=True),
    Scene("gate-sheet-failed", _sheet_failed, furnished=True),
    Scene("gate-sheet-restricted", _sheet_restricted, furnished=True),
    Scene("gate-sheet-narrow", _sheet_plain, furnished=True, width=760),
)
