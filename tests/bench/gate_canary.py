"""Made conversations with strings planted in what is restricted, pressed against the gate in every way we can think of.

Everything is real but the local model: store, policy, sheet, consent, detectors, redaction, the way out; who is asked
is a recording server on loopback. Between them go conversations without anything planted, which must arrive.

`python -m tests.bench.gate_canary [COUNT] [--seed N]`
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.chat.prompt import AttachedText
from app.chat.records import Conversation, Message, MessageStatus, Role
from app.gate.label import GateMode, Label
from app.gate.leaks import LeakFinder
from app.gate.records import Ask, Preview, PreviewChange
from app.lanes import StoreLane
from app.paths import resolve
from app.store import conversations, messages
from app.store import gate as rows
from app.store.database import Connection
from engine.errors import GatehouseError
from tests.app.gate.encodings import ENCODINGS
from tests.app.gate.made_gate import GateStage, close, gate_stage
from tests.bench.table import Row
from tests.cloud_double import CloudDouble, Seen
from tests.sample_data import TOPICS

STEM = "heron vault quartz"
"""In every planted string; it occurs nowhere else."""
_REGISTERED = 100
"""Planted strings that the last look knows; the others only labels protect."""
_EVERY_CONTROL = 10
"""One conversation in so many has nothing planted."""

HOLDERS = ("title", "system prompt", "question", "answer", "tool arguments", "document", "draft")
PROTECTIONS = ("conversation", "workspace", "folder", "message", "document", "quoted", "relabelled", "pasted")
"""What makes it restricted: a label, of what; or nothing but that the planted string is known, or that it stands in a
passage that was pasted from what is restricted."""


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation."""

    number: int
    planted: str
    """Empty: a control, which must arrive."""
    holder: str
    protection: str
    mode: GateMode
    encoding: str


@dataclass(slots=True)
class Tally:
    """What became of the conversations."""

    conversations: int = 0
    refused: Counter[str] | None = None
    """By the code of the refusal."""
    sent: int = 0
    controls: int = 0
    arrived: int = 0
    leaked: tuple[str, ...] = ()
    seconds: float = 0.0


class OneDocument:
    """What is attached to the conversation at hand."""

    def __init__(self) -> None:
        self.attached: tuple[AttachedText, ...] = ()

    async def texts(self, *_: object) -> Sequence[AttachedText]:
        return self.attached


def case(number: int, draw: random.Random) -> Case:
    """The ``number``-th conversation."""
    protection = draw.choice(PROTECTIONS)
    planted = f"{STEM} {draw.randrange(_REGISTERED) if protection == 'quoted' else 1_000_000 + number}"
    holder = draw.choice(HOLDERS)
    if protection == "document":
        holder = "document"
    elif protection == "message":
        holder = draw.choice(("question", "answer", "tool arguments"))
    encoding = draw.choice(list(ENCODINGS))
    mode = draw.choice((GateMode.ASK, GateMode.OPEN))
    if number % _EVERY_CONTROL == 0:
        return Case(number, "", holder, "none", mode, "plain")
    return Case(number, planted, holder, protection, mode, encoding)


async def press(count: int, seed: int, stage: GateStage, cloud: CloudDouble) -> Tally:
    """Make ``count`` conversations and try to get each of them out."""
    draw = random.Random(seed)
    attachments = OneDocument()
    stage.chat.attachments = attachments
    await stage.provider(cloud.base_url)
    await stage.lane.write(lambda c: rows.plant(c, [f"{STEM} {number}" for number in range(_REGISTERED)]))
    workspace = await stage.gate.add_place("Sealed", Label.RESTRICTED)
    folder = await stage.gate.add_place("Notes", Label.PUBLIC, workspace.id)
    places = {"workspace": workspace.id, "folder": folder.id}
    tally = Tally(refused=Counter())
    assert tally.refused is not None
    before, began = len(cloud.seen()), time.perf_counter()
    for number in range(count):
        one = case(number, draw)
        ask = await _stored(one, draw, stage, places, attachments)
        code = await _try(one, ask, draw, stage)
        tally.conversations += 1
        tally.controls += not one.planted
        tally.sent += not code
        if code:
            tally.refused[code] += 1
        stage.events.clear()
        await stage.lane.write(
            lambda c: c.execute("DELETE FROM conversations")
        )  # or each would be sought in all others
    tally.seconds = time.perf_counter() - began
    seen = cloud.seen()[before:]
    tally.arrived = sum("control conversation" in request.body for request in seen)
    finder = LeakFinder({}, [STEM])
    tally.leaked = tuple(_everything(one)[:200] for one in seen if finder.find(_everything(one).encode()))
    return tally


def _everything(request: Seen) -> str:
    return "\n".join([request.method, request.path, json.dumps(dict(request.headers)), request.body])


async def _stored(
    one: Case, draw: random.Random, stage: GateStage, places: dict[str, str], attachments: OneDocument
) -> Ask:
    """The conversation in the store, and what is to be asked about it."""
    held_back = one.planted
    if one.protection == "pasted":
        held_back = f"{_shuffled(draw, 9)} {one.planted} {_shuffled(draw, 9)}"
        await _store_source(one, held_back, stage)
    wrapped = ENCODINGS[one.encoding](held_back) if one.planted else "nothing"
    said = f"Mind this: {wrapped} , please." if one.planted else "This is a control conversation."
    held = {holder: said if holder == one.holder else "" for holder in HOLDERS}
    topic = draw.choice(TOPICS)
    texts: list[tuple[Role, str]] = []
    for turn in range(draw.randint(1, 3)):
        question = topic.questions[turn % len(topic.questions)]
        answer = topic.answers[turn % len(topic.answers)][:600]
        if one.planted:  # restricted texts are nobody else's; otherwise the controls would quote them
            question, answer = _mixed(draw, question), _mixed(draw, answer)
        if turn == 0:
            arguments = json.dumps({"name": "look_up", "arguments": json.dumps({"query": held["tool arguments"]})})
            question = f"{question}\n{held['question'] or ('' if one.planted else said)}"
            answer = "\n".join(filter(None, (answer, held["answer"], arguments if held["tool arguments"] else "")))
        texts += [("user", question), ("assistant", answer)]
    conversation = Conversation(
        id=f"made-{one.number}",
        title=held["title"] or topic.title,
        created_at=1.0 + one.number,
        updated_at=1.0 + one.number,
        pinned=False,
        model_id=None,
        system_prompt=held["system prompt"],
        message_count=0,
        preview="",
        label=Label.INTERNAL,
        gate=one.mode,
        own_label=Label.RESTRICTED if one.protection == "conversation" else Label.INTERNAL,
        place_id=places.get(one.protection),
    )
    line = _line(conversation.id, texts, one)

    def store(connection: Connection) -> None:
        conversations.insert(connection, conversation)
        messages.insert_line(connection, line)

    await stage.lane.write(store)
    label = Label.RESTRICTED if one.protection == "document" else Label.INTERNAL
    notes = AttachedText("notes.txt", held["document"], label, whole=draw.random() < 0.5)
    attachments.attached = (notes,) if notes.text else ()
    if held["draft"] or draw.random() < 0.5:
        return Ask(conversation.id, draft=f"And what follows from that? {held['draft']}")
    return Ask(conversation.id, line[-1].id)


def _mixed(draw: random.Random, text: str) -> str:
    words = text.split()
    draw.shuffle(words)
    return " ".join(words)


def _shuffled(draw: random.Random, count: int) -> str:
    words = [word for word in " ".join(draw.choice(TOPICS).answers).split() if word.isalpha()]
    return " ".join(draw.choices(words, k=count))


async def _store_source(one: Case, text: str, stage: GateStage) -> None:
    """A restricted conversation that a passage is pasted from."""
    head = Conversation(
        id=f"made-{one.number}-source",
        title="Where it is from",
        created_at=1.0,
        updated_at=1.0,
        pinned=False,
        model_id=None,
        system_prompt="",
        message_count=0,
        preview="",
        own_label=Label.RESTRICTED,
    )
    line = _line(head.id, [("user", "What is it?"), ("assistant", f"This: {text}.")], one)

    def store(connection: Connection) -> None:
        conversations.insert(connection, head)
        messages.insert_line(connection, line)

    await stage.lane.write(store)


def _line(conversation_id: str, texts: list[tuple[Role, str]], one: Case) -> tuple[Message, ...]:
    """Messages below each other; the first pair holds what is planted, and its label where that protects it."""
    line: list[Message] = []
    for index, (role, text) in enumerate(texts):
        made = Message(
            id=f"{conversation_id}-{index}",
            conversation_id=conversation_id,
            parent_id=line[-1].id if line else None,
            role=role,
            text=text,
            reasoning="",
            status=MessageStatus.COMPLETE,
            created_at=2.0 + index,
            model_id=None,
            stats=None,
            error="",
            branch_index=0,
            branch_count=1,
        )
        line.append(replace(made, label=Label.RESTRICTED) if one.protection == "message" and index < 2 else made)
    return tuple(line)


async def _try(one: Case, ask: Ask, draw: random.Random, stage: GateStage) -> str:
    """Try to get it out, also when the sheet forbids it; the refusal's code, or nothing when something was sent."""
    preview: Preview | None = None
    try:
        if one.mode is GateMode.OPEN and one.protection != "relabelled" and draw.random() < 0.5:
            return await _outcome(await stage.gate.ask(ask), stage)
        preview = await stage.gate.preview(ask)
        preview = await _changed(one, preview, draw, stage)
        if one.protection == "relabelled":
            assert preview.conversation_id is not None
            await stage.gate.set_label(preview.conversation_id, Label.RESTRICTED)
        return await _outcome(await stage.gate.send(preview.id, preview.body_sha256), stage)
    except GatehouseError as error:
        return error.code if preview is None or preview.verdict.allowed else preview.verdict.code


async def _changed(one: Case, preview: Preview, draw: random.Random, stage: GateStage) -> Preview:
    """Sometimes with everything let through, and with what is labelled left out."""
    if draw.random() < 0.7:
        return preview
    off = frozenset(redaction.placeholder for redaction in preview.redactions)
    left_out = frozenset(place for place, part in enumerate(preview.messages) if part.label is Label.RESTRICTED)
    return await stage.gate.change(preview.id, PreviewChange(off=off, left_out=left_out if one.planted else None))


async def _outcome(message_id: str, stage: GateStage) -> str:
    message = await stage.finished(message_id)
    return "" if message.status is MessageStatus.COMPLETE else message.error or message.status.value


def run(count: int, seed: int = 1) -> Tally:
    """The whole thing in a folder of its own."""

    async def work(folder: Path) -> Tally:
        paths = resolve(folder)
        paths.make_folders()
        lane = StoreLane(paths.database)
        try:
            stage = await gate_stage(lane, paths)
            try:
                with CloudDouble() as cloud:
                    return await press(count, seed, stage, cloud)
            finally:
                await close(stage)
        finally:
            lane.close()

    folder = Path(tempfile.mkdtemp(prefix="gatehouse-canary-"))
    try:
        return asyncio.run(work(folder))
    finally:
        shutil.rmtree(folder)


def measure(count: int = 10_000, seed: int = 1) -> list[Row]:
    """Some minutes."""
    tally = run(count, seed)
    for request in tally.leaked:
        sys.stderr.write(f"LEAKED: {request}\n")
    sys.stderr.write(f"refused: {dict(tally.refused or {})}, sent: {tally.sent}, in {tally.seconds:.0f} s\n")
    made = f"{tally.conversations:,} conversations, {len(ENCODINGS)} ways of wrapping"
    return [
        Row("Planted strings that left", len(tally.leaked), "requests", None, "0", not tally.leaked, made),
        Row(
            "Conversations without any that arrived",
            tally.arrived / max(tally.controls, 1),
            "of all",
            None,
            "1.00",
            tally.arrived == tally.controls,
            f"{tally.controls:,} of them",
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    from tests.bench.table import markdown

    parser = argparse.ArgumentParser(prog="python -m tests.bench.gate_canary", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    sys.stdout.write(markdown(measure(asked.count, asked.seed)) + "\n")


if __name__ == "__main__":
    main()
