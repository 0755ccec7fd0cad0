"""From a question over the sheet to an answer from elsewhere: what leaves is what was shown, and only then."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.chat.prompt import AttachedText
from app.chat.records import Message, MessageStatus
from app.documents.records import DocumentKind, Reading
from app.events import AnswerFlagged, AnswerGrew
from app.gate.label import GateMode, Label
from app.gate.offline import OFFLINE_VARIABLE
from app.gate.records import Ask, Outcome, PreviewChange
from app.lanes import StoreLane
from app.paths import resolve
from app.providers.provider import Chunk
from app.store import attachments, documents
from app.store import gate as rows
from engine.errors import GatehouseError
from tests.app.gate.made_gate import GateStage, close, gate_stage
from tests.cloud_double import CloudDouble

pytestmark = pytest.mark.asyncio(loop_scope="module")

IBAN = "DE89370400440532013000"
MAIL = "jana.novotna@example.org"
QUESTION = f"Write to {MAIL} that the rent goes to {IBAN}."


@pytest.fixture(scope="module")
def cloud() -> Iterator[CloudDouble]:
    with CloudDouble() as double:
        yield double


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GateStage]:
    """One detector process for all tests here; each has its own conversation."""
    paths = resolve(tmp_path_factory.mktemp("gate") / "data")
    paths.make_folders()
    lane = StoreLane(paths.database)
    made = await gate_stage(lane, paths)
    await made.gate.add_term("Falcon", "PROJECT")
    assert await made.gate.scan(f"Pay {IBAN}."), "the detectors' process lives as long as the module"
    yield made
    await close(made)
    lane.close()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(house: GateStage, cloud: CloudDouble) -> GateStage:
    cloud.misbehave()
    await house.provider(cloud.base_url)
    return house


async def _sent(stage: GateStage, ask: Ask) -> Message:
    preview = await stage.gate.preview(ask)
    return await stage.finished(await stage.gate.send(preview.id, preview.body_sha256))


async def test_what_leaves_is_what_was_shown_and_names_come_back(stage: GateStage, cloud: CloudDouble) -> None:
    local = await stage.answered(QUESTION, "Here it is.", GateMode.ASK)
    preview = await stage.gate.preview(Ask(local.conversation_id, local.id))
    assert not any(secret in preview.body.decode() for secret in (IBAN, MAIL))
    assert {redaction.kind for redaction in preview.redactions} == {"IBAN", "EMAIL"}
    mail, iban = (next(r.placeholder for r in preview.redactions if r.kind == kind) for kind in ("EMAIL", "IBAN"))
    cloud.misbehave(reply=f"Dear {mail} the rent goes to {iban.lower().strip('[]')} now")
    answer = await stage.finished(await stage.gate.send(preview.id, preview.body_sha256))
    assert answer.text.strip() == f"Dear {MAIL} the rent goes to {IBAN} now"
    grown = "".join(e.text for e in stage.of(AnswerGrew) if e.message_id == answer.id)
    assert grown == answer.text
    assert cloud.seen()[-1].body.encode() == preview.body
    assert answer.parent_id == local.parent_id
    assert (answer.status, answer.stats and answer.stats.route) == (MessageStatus.COMPLETE, "cloud")
    assert answer.stats is not None
    assert answer.stats.provider == "Nimbus"
    assert answer.stats.cost_usd == pytest.approx((1000 * 2 + 500 * 8) / 1e6)
    (first, last, *_) = (await stage.gate.ledger()).rows
    assert (first.part, first.request_id, first.consent) == ("begun", answer.stats.request_id, "sheet")
    assert first.body_sha256 == hashlib.sha256(preview.body).hexdigest()
    assert dict(first.redactions) == {"EMAIL": 1, "IBAN": 1}
    assert (last.outcome, last.conversation_id) == (Outcome.COMPLETE, local.conversation_id)


async def test_placeholders_are_stable_in_a_conversation(stage: GateStage, cloud: CloudDouble) -> None:
    local = await stage.answered(f"First {IBAN}.", "Yes.", GateMode.ASK)
    first = await stage.gate.preview(Ask(local.conversation_id, local.id))
    await stage.finished(await stage.gate.send(first.id, first.body_sha256))
    draft = f"Compare GB29NWBK60161331926819 with {IBAN}."
    second = await stage.gate.preview(Ask(local.conversation_id, draft=draft))
    placeholders = {redaction.text: redaction.placeholder for redaction in second.redactions}
    assert placeholders[IBAN] == first.redactions[0].placeholder
    assert placeholders["GB29NWBK60161331926819"] != placeholders[IBAN]


async def test_a_switched_off_redaction_leaves_and_its_digits_are_let_through(stage: GateStage) -> None:
    local = await stage.answered(QUESTION, "Here.", GateMode.ASK)
    preview = await stage.gate.preview(Ask(local.conversation_id, local.id))
    iban = next(redaction.placeholder for redaction in preview.redactions if redaction.kind == "IBAN")
    changed = await stage.gate.change(preview.id, PreviewChange(off=frozenset({iban})))
    assert changed.verdict.allowed
    assert IBAN in changed.body.decode()
    assert MAIL not in changed.body.decode()
    assert any("1 found string leaves" in warning for warning in changed.warnings)
    with pytest.raises(GatehouseError, match="has changed"):
        await stage.gate.send(preview.id, preview.body_sha256)


async def test_edited_text_is_scanned_again(stage: GateStage) -> None:
    local = await stage.answered(QUESTION, "Here.", GateMode.ASK)
    preview = await stage.gate.preview(Ask(local.conversation_id, local.id))
    last = len(preview.messages) - 1
    text = preview.messages[last].after + " Tell max.muster@example.com about Falcon."
    changed = await stage.gate.change(preview.id, PreviewChange(edits={last: text}))
    assert changed.messages[last].edited
    assert changed.messages[last].before == QUESTION + " Tell max.muster@example.com about Falcon."
    assert changed.messages[last].after.startswith(preview.messages[last].after)
    sent = json.loads(changed.body)["messages"][last]["content"]
    assert sent == changed.messages[last].after
    assert "max.muster" not in sent
    assert "[PROJECT_1]" in sent


async def test_restricted_forbids_wherever_it_is(stage: GateStage) -> None:
    """In the conversation, in a workspace above its folder, in a document; and leaving it out allows the rest."""
    local = await stage.answered("A question.", "An answer.", GateMode.OPEN, Label.RESTRICTED)
    ask = Ask(local.conversation_id, local.id)
    assert (await stage.gate.preview(ask)).verdict.code == "restricted"
    assert (await stage.gate.preview(ask)).body == b""
    await stage.gate.set_label(local.conversation_id, Label.PUBLIC)
    work = await stage.gate.add_place("Clinic", Label.RESTRICTED)
    folder = await stage.gate.add_place("Letters", Label.PUBLIC, work.id)
    await stage.gate.move(local.conversation_id, folder.id)
    assert (await stage.gate.preview(ask)).verdict.code == "restricted"
    await stage.gate.remove_place(work.id)
    assert (await stage.gate.preview(ask)).verdict.code == "restricted"
    await stage.gate.move(local.conversation_id, None)
    await stage.gate.set_label(local.conversation_id, Label.PUBLIC)

    class OneDocument:
        async def texts(self, *_: object) -> tuple[AttachedText, ...]:
            return (AttachedText("findings.pdf", "The findings.", Label.RESTRICTED),)

    stage.chat.attachments = OneDocument()
    try:
        preview = await stage.gate.preview(ask)
    finally:
        stage.chat.attachments = None
    assert preview.verdict.code == "restricted"
    assert [attachment.name for attachment in preview.attachments] == ["findings.pdf"]


async def test_what_came_from_a_restricted_document_stays_restricted(stage: GateStage) -> None:
    """Also when the document is no longer attached: its excerpts are in the answer."""

    class OneDocument:
        async def texts(self, *_: object) -> tuple[AttachedText, ...]:
            return (AttachedText("findings.pdf", "The findings.", Label.RESTRICTED),)

    stage.chat.attachments = OneDocument()
    try:
        local = await stage.answered("What do the findings say?", "They say much.", GateMode.ASK)
    finally:
        stage.chat.attachments = None
    preview = await stage.gate.preview(Ask(local.conversation_id, draft="Say more."))
    assert preview.verdict.code == "restricted"
    without = await stage.gate.change(preview.id, PreviewChange(left_out=frozenset(range(len(preview.messages) - 1))))
    assert without.verdict.allowed, without.verdict


async def test_a_document_that_becomes_restricted_takes_what_was_made_of_it_along(
    stage: GateStage, cloud: CloudDouble
) -> None:
    """While a sheet is open; and in answers from before, also once it is detached, and when a question is edited."""
    reading = Reading(DocumentKind.TEXT, "a5" * 32, "The findings.", ())
    document = await stage.lane.write(
        lambda connection: documents.keep(connection, reading, Path("findings.txt"), Label.INTERNAL, 1.0)
    )

    class OneDocument:
        async def texts(self, conversation_id: str, *_: object) -> tuple[AttachedText, ...]:
            place = (document.id, 0, 13)
            await stage.lane.write(lambda connection: attachments.number_places(connection, conversation_id, [place]))
            return (AttachedText("findings.txt", "The findings.", Label.INTERNAL, document_id=document.id),)

    stage.chat.attachments = OneDocument()
    try:
        local = await stage.answered("What do the findings say?", "They say much.", GateMode.ASK)
        opened = await stage.gate.preview(Ask(local.conversation_id, draft="Say more."))
    finally:
        stage.chat.attachments = None
    assert opened.verdict.allowed
    await stage.lane.write(lambda connection: documents.set_label(connection, document.id, Label.RESTRICTED))
    before = len(cloud.seen())
    with pytest.raises(GatehouseError) as caught:
        await stage.gate.send(opened.id, opened.body_sha256)
    assert caught.value.code == "restricted"
    assert len(cloud.seen()) == before
    detached = await stage.gate.preview(Ask(local.conversation_id, draft="Say more."))
    assert detached.verdict.code == "restricted"
    assert local.parent_id is not None
    number = len(stage.local.scripts)
    edited = await stage.chat.edit(local.parent_id, "What else do they say?")
    script = await stage.local.script(number)
    script.say("More.")
    script.end()
    assert (await stage.finished(edited)).label is Label.RESTRICTED


async def test_a_conversation_keeps_its_label_when_it_is_moved_out(stage: GateStage) -> None:
    local = await stage.answered("A question.", "An answer.", GateMode.OPEN, Label.PUBLIC)
    ward = await stage.gate.add_place("Ward", Label.RESTRICTED)
    await stage.gate.move(local.conversation_id, ward.id)
    await stage.gate.move(local.conversation_id, None)
    preview = await stage.gate.preview(Ask(local.conversation_id, local.id))
    assert preview.verdict.code == "restricted"


@pytest.mark.parametrize(
    ("mode", "label", "code"),
    [
        (GateMode.LOCAL, Label.PUBLIC, "local_only"),
        (GateMode.ASK, Label.PUBLIC, "needs_sheet"),
        (GateMode.OPEN, Label.CONFIDENTIAL, "needs_sheet"),
    ],
)
async def test_only_open_conversations_skip_the_sheet(
    stage: GateStage, cloud: CloudDouble, mode: GateMode, label: Label, code: str
) -> None:
    local = await stage.answered("A question.", "An answer.", mode, label)
    before = len(cloud.seen())
    with pytest.raises(GatehouseError) as caught:
        await stage.gate.ask(Ask(local.conversation_id, local.id))
    assert caught.value.code == code
    assert len(cloud.seen()) == before


async def test_an_open_conversation_is_asked_at_once_and_still_scanned(stage: GateStage, cloud: CloudDouble) -> None:
    local = await stage.answered(QUESTION, "Here.", GateMode.OPEN)
    answer = await stage.finished(await stage.gate.ask(Ask(local.conversation_id, draft=f"Again: {IBAN}")))
    assert answer.status is MessageStatus.COMPLETE
    assert IBAN not in cloud.seen()[-1].body
    assert (await stage.gate.ledger()).rows[0].consent == "open conversation"


async def test_the_environments_switch_is_named_where_it_refuses(
    stage: GateStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    preview = await stage.gate.preview(Ask(None, draft="A question.", mode=GateMode.OPEN))
    assert preview.verdict.code == "offline"
    assert OFFLINE_VARIABLE in preview.verdict.hint


async def test_what_changed_while_the_sheet_was_open_stops_the_request(stage: GateStage, cloud: CloudDouble) -> None:
    local = await stage.answered("A question.", "An answer.", GateMode.ASK)
    preview = await stage.gate.preview(Ask(local.conversation_id, local.id))
    before = len(cloud.seen())
    for change, undo, code in (
        (stage.gate.set_offline(True), stage.gate.set_offline(False), "offline"),
        (
            stage.gate.set_mode(local.conversation_id, GateMode.LOCAL),
            stage.gate.set_mode(local.conversation_id, GateMode.ASK),
            "local_only",
        ),
        (
            stage.gate.set_label(local.conversation_id, Label.RESTRICTED),
            stage.gate.set_label(local.conversation_id, Label.INTERNAL),
            "restricted",
        ),
        (stage.gate.set_budget(0.0001, None), stage.gate.set_budget(None, None), "budget"),
    ):
        await change
        with pytest.raises(GatehouseError) as caught:
            await stage.gate.send(preview.id, preview.body_sha256)
        await undo
        assert caught.value.code == code
    assert len(cloud.seen()) == before
    answer = await stage.finished(await stage.gate.send(preview.id, preview.body_sha256))
    assert answer.status is MessageStatus.COMPLETE


@pytest.mark.parametrize("begun", [True, False], ids=["in-a-conversation", "in-a-new-one"])
async def test_a_gate_that_is_shut_while_the_server_is_sought_lets_nothing_out(
    stage: GateStage, cloud: CloudDouble, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    sought, shut = threading.Event(), threading.Event()

    def slow_names(host: str, _: int) -> list[str]:
        sought.set()
        assert shut.wait(20)
        return [host]

    monkeypatch.setattr(stage.outside.egress, "_resolve", slow_names)
    if begun:
        local = await stage.answered("A question.", "An answer.", GateMode.ASK)
        preview = await stage.gate.preview(Ask(local.conversation_id, local.id))
    else:
        preview = await stage.gate.preview(Ask(None, draft="A question.", mode=GateMode.ASK, label=Label.PUBLIC))
    before = len(cloud.seen())
    answer_id = await stage.gate.send(preview.id, preview.body_sha256)
    assert await asyncio.to_thread(sought.wait, 20)
    _, pending = await stage.chat.answer(answer_id)
    await stage.gate.set_mode(pending.conversation_id, GateMode.LOCAL)
    shut.set()
    answer = await stage.finished(answer_id)
    assert answer.status is MessageStatus.FAILED
    assert "local only" in answer.error
    assert len(cloud.seen()) == before
    ended = (await stage.gate.ledger()).rows[1]
    assert (ended.bytes_out, ended.outcome) == (0, Outcome.UNREACHABLE)


async def test_consent_is_for_one_request(stage: GateStage, cloud: CloudDouble) -> None:
    local = await stage.answered("A question.", "An answer.", GateMode.ASK)
    preview = await stage.gate.preview(Ask(local.conversation_id, local.id))
    before = len(cloud.seen())
    sends = (stage.gate.send(preview.id, preview.body_sha256) for _ in range(3))
    done = await asyncio.gather(*sends, return_exceptions=True)
    answers = [one for one in done if isinstance(one, str)]
    assert len(answers) == 1
    await stage.finished(answers[0])
    assert len(cloud.seen()) == before + 1
    assert {one.code for one in done if isinstance(one, GatehouseError)} == {"no_such_preview"}


async def test_a_lock_forgets_open_sheets_and_those_that_are_being_made(stage: GateStage, cloud: CloudDouble) -> None:
    local = await stage.answered("A question.", "An answer.", GateMode.ASK)
    ask = Ask(local.conversation_id, local.id)
    preview = await stage.gate.preview(ask)
    before = len(cloud.seen())
    making = asyncio.create_task(stage.gate.preview(ask))
    await asyncio.sleep(0)  # it has begun
    stage.gate.forget()
    with pytest.raises(GatehouseError) as caught:
        await making
    assert caught.value.code == "locked"
    with pytest.raises(GatehouseError) as caught:
        await stage.gate.send(preview.id, preview.body_sha256)
    assert caught.value.code == "no_such_preview"
    assert len(cloud.seen()) == before


async def test_the_sheet_tells_of_characters_that_nobody_sees(stage: GateStage) -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    local = await stage.answered(f"Sum this up.{hidden} \U0001f469\u200d\U0001f467", "An answer.", GateMode.ASK)
    preview = await stage.gate.preview(Ask(local.conversation_id, local.id))
    assert any(warning.startswith("4 characters in it cannot be seen") for warning in preview.warnings)


async def test_a_planted_string_stops_even_what_the_person_lets_through(stage: GateStage) -> None:
    await stage.lane.write(lambda connection: rows.plant(connection, ["heron-7781-lagoon"]))
    local = await stage.answered("It is called heron-7781-lagoon.", "Yes.", GateMode.ASK)
    preview = await stage.gate.preview(Ask(local.conversation_id, local.id))
    assert (preview.verdict.code, preview.body) == ("leak", b"")
    assert "CANARY" in preview.verdict.sentence


async def test_a_cut_answer_is_kept_and_goes_on_when_asked_to(stage: GateStage, cloud: CloudDouble) -> None:
    local = await stage.answered(QUESTION, "Here.", GateMode.ASK)
    cloud.misbehave("cut")
    cut = await _sent(stage, Ask(local.conversation_id, local.id))
    assert (cut.status, cut.text) == (MessageStatus.INTERRUPTED, "Good day ")
    assert (await stage.gate.ledger()).rows[1].outcome is Outcome.CUT
    asked = len(cloud.answers_asked())
    cloud.misbehave(reply="and to you")
    whole = await _sent(stage, Ask(local.conversation_id, cut.id, resume=True))
    assert whole.text.strip() == "Good day and to you"
    assert (whole.parent_id, whole.status) == (cut.parent_id, MessageStatus.COMPLETE)
    assert len(cloud.answers_asked()) == asked + 1
    assert [m["role"] for m in cloud.answers_asked()[-1]["messages"]][-2:] == ["assistant", "user"]
    with pytest.raises(GatehouseError, match="not cut off"):
        await stage.gate.preview(Ask(local.conversation_id, local.id, resume=True))


@pytest.mark.parametrize(
    ("fault", "status"), [("status:500", MessageStatus.FAILED), ("stall", MessageStatus.INTERRUPTED)]
)
async def test_what_goes_wrong_is_a_sentence_and_the_local_answer_stays(
    stage: GateStage, cloud: CloudDouble, fault: str, status: MessageStatus
) -> None:
    local = await stage.answered("A question.", "An answer.", GateMode.ASK)
    before = len(cloud.seen())
    cloud.misbehave(fault)
    failed = await _sent(stage, Ask(local.conversation_id, local.id))
    assert failed.status is status
    assert failed.error
    assert len(cloud.seen()) == before + 1, "nothing is sent again by itself"
    await stage.chat.choose_branch(local.id)
    shown = (await stage.chat.open(local.conversation_id)).messages[-1]
    assert (shown.id, shown.text, shown.branch_count) == (local.id, "An answer.", 2)


async def test_a_draft_begins_a_conversation_under_its_own_gate(stage: GateStage) -> None:
    ask = Ask(None, draft=QUESTION, mode=GateMode.ASK, label=Label.CONFIDENTIAL, system_prompt="Be brief.")
    preview = await stage.gate.preview(ask)
    assert preview.messages[0].after == "Be brief."
    count = len(await stage.chat.conversations())
    answer = await stage.finished(await stage.gate.send(preview.id, preview.body_sha256))
    stored = await stage.chat.open(answer.conversation_id)
    assert answer.status is MessageStatus.COMPLETE
    assert (stored.conversation.gate, stored.conversation.label) == (GateMode.ASK, Label.CONFIDENTIAL)
    assert len(await stage.chat.conversations()) == count + 1
    assert [message.text for message in stored.messages][:1] == [QUESTION]


async def test_a_draft_is_asked_at_once_only_in_an_open_conversation(stage: GateStage, cloud: CloudDouble) -> None:
    count, before = len(await stage.chat.conversations()), len(cloud.seen())
    for mode, label, code in (
        (GateMode.LOCAL, Label.PUBLIC, "local_only"),
        (GateMode.ASK, Label.PUBLIC, "needs_sheet"),
        (GateMode.OPEN, Label.CONFIDENTIAL, "needs_sheet"),
        (GateMode.OPEN, Label.RESTRICTED, "restricted"),
    ):
        with pytest.raises(GatehouseError) as caught:
            await stage.gate.ask(Ask(None, draft=QUESTION, mode=mode, label=label))
        assert caught.value.code == code
    assert (len(await stage.chat.conversations()), len(cloud.seen())) == (count, before), "nothing was begun"
    ask = Ask(None, draft=QUESTION, mode=GateMode.OPEN, label=Label.PUBLIC, system_prompt=f"Sign as {MAIL}.")
    answer = await stage.finished(await stage.gate.ask(ask))
    begun = (await stage.chat.open(answer.conversation_id)).conversation
    assert (begun.gate, begun.label, begun.system_prompt) == (GateMode.OPEN, Label.PUBLIC, ask.system_prompt)
    sent = cloud.answers_asked()[-1]["messages"]
    assert [message["role"] for message in sent] == ["system", "user"]
    assert not any(word in cloud.seen()[-1].body for word in (MAIL, IBAN))
    row = (await stage.gate.ledger()).rows[0]
    assert (row.conversation_id, row.label, row.mode) == (begun.id, Label.PUBLIC, GateMode.OPEN)
    await stage.finished(await stage.gate.ask(Ask(begun.id, draft=f"Once more to {MAIL}.")))
    again = cloud.answers_asked()[-1]["messages"]
    assert again[:2] == sent, "the same placeholders in the next turn"


async def test_no_scanner_no_preview(stage: GateStage, tmp_path: Path) -> None:
    """Fails closed: who cannot look lets nothing out."""
    paths = resolve(tmp_path / "other")
    paths.make_folders()
    lane = StoreLane(paths.database)
    other = await gate_stage(lane, paths)
    try:
        provider = (await stage.gate.providers())[0]
        await other.provider(provider.base_url)
        await other.gate.close()
        with pytest.raises(GatehouseError) as caught:
            await other.gate.preview(Ask(None, draft=QUESTION, mode=GateMode.OPEN))
        assert caught.value.code == "not_scanned"
    finally:
        await close(other)
        lane.close()


async def test_two_open_sheets_never_mix_their_placeholders(stage: GateStage, cloud: CloudDouble) -> None:
    """The same placeholder in both, for different numbers: the later one is not sent."""
    local = await stage.answered("A question.", "An answer.", GateMode.ASK)
    drafts = (f"Pay {IBAN}.", "Pay GB29NWBK60161331926819.")
    first, second = [await stage.gate.preview(Ask(local.conversation_id, draft=draft)) for draft in drafts]
    assert first.redactions[0].placeholder == second.redactions[0].placeholder
    await stage.finished(await stage.gate.send(first.id, first.body_sha256))
    before = len(cloud.seen())
    failed = await stage.finished(await stage.gate.send(second.id, second.body_sha256))
    assert (failed.status, len(cloud.seen())) == (MessageStatus.FAILED, before)
    assert "Open the sheet again" in failed.error


@pytest.mark.slow
async def test_a_doubtful_local_answer_is_flagged_while_it_streams_and_can_be_kept(stage: GateStage) -> None:
    created = await stage.chat.create()
    number = len(stage.local.scripts)
    message_id = await stage.chat.send(created.id, "Tell me a story.")
    script = await stage.local.script(number)
    for _ in range(60):
        script.queue.put_nowait(Chunk("word ", logprobs=(math.log(0.02),)))
    await stage.begun(message_id)
    await stage.until(lambda: any(event.message.id == message_id for event in stage.of(AnswerFlagged)))
    flagged = stage.of(AnswerFlagged)[-1].message
    assert flagged.flag is not None
    assert (flagged.status, flagged.flag.tier) == (MessageStatus.STREAMING, "larger")
    script.end()
    finished = await stage.finished(message_id)
    assert finished.flag == flagged.flag
    await stage.gate.keep(message_id)
    stored = (await stage.chat.open(created.id)).messages[-1]
    assert stored.flag is not None
    assert stored.flag.kept
    offers = await stage.gate.offers(message_id)
    assert (offers.larger_model_id, offers.cloud.code) == (None, "local_only")
