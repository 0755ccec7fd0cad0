"""Passages by meaning with the real product: a made model for vectors in a second real worker beside the chat's."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.chat.lines import new_message
from app.chat.prompt import AttachedText
from app.chat.records import MessageStatus
from app.documents.review_records import AttachmentState
from app.events import AttachmentChanged
from app.models.planner import Beside, Planner
from app.models.records import LoadedModel, ModelCard
from app.models.vectors import VectorWorker
from app.paths import Paths
from app.store.database import Connection
from engine.errors import ModelFileError
from engine.fit.plan import Plan, Wish
from engine.gguf.split import read_model
from engine.worker.spec import Ready
from tests.app.native import PATIENCE_S, STARTER, House, open_house
from tests.engine.fit.machines import GIB, machine
from tests.made_embedding import EMBEDDING_RECIPES, RERANK_RECIPES, make_embedding

pytestmark = pytest.mark.native

_NO_WORDS = "where is it?"
"""Nothing in it is a word to look for."""
_STARTER = Path(sys.prefix) / "share" / "gatehouse" / "models" / f"{STARTER}.gguf"


def _long(folder: Path) -> Path:
    path = folder / "list.txt"
    filler = "nothing of note was said about this, and it was said at length."
    path.write_text(
        "inventory\n" + "\n\n".join(f"item {number}: a chair of kind {number}. {filler}" for number in range(60))
    )
    return path


def _pid(worker: VectorWorker) -> int | None:
    return worker.pid


def _attach(house: House, path: Path) -> str:
    conversation = house.product.run(house.product.services.chat.create())
    house.product.run(house.product.services.documents.attach(conversation.id, [path]))
    while True:
        event = house.events.get(timeout=PATIENCE_S)
        if isinstance(event, AttachmentChanged) and event.attachment.state is AttachmentState.READY:
            return conversation.id


def _asked(house: House, conversation_id: str, question: str) -> Sequence[AttachedText]:
    texts = house.product.chat.attachments
    assert texts is not None
    message = new_message(conversation_id, None, "user", question, MessageStatus.COMPLETE)
    return house.product.run(texts.texts(conversation_id, [message], ""))


def _count(connection: Connection) -> tuple[int, int, str]:
    (kept,) = connection.execute("SELECT count(*) FROM passages").fetchone()
    (learned,) = connection.execute("SELECT count(*) FROM passage_vectors").fetchone()
    (model,) = connection.execute("SELECT max(model) FROM passage_vectors").fetchone()
    return kept, learned, model or ""


@pytest.mark.slow
def test_passages_are_learned_once_and_found_beside_the_chat(tmp_path: Path) -> None:
    (tmp_path / "data" / "models").mkdir(parents=True)
    make_embedding(EMBEDDING_RECIPES["cls"], tmp_path / "data" / "models" / "tiny-embed.gguf")
    path = _long(tmp_path)
    with open_house(tmp_path / "data", n_ctx=1024, max_tokens=8, temperature=0.0) as house:
        product = house.product
        product.begin()
        house.ready()
        assert product.services.models.loaded().model_id == STARTER, "a model for vectors does not chat"
        with pytest.raises(ModelFileError, match="does not chat"):
            product.run(product.services.models.load("tiny-embed"))
        assert product.models.endpoint() is not None, "what was loaded stays"
        conversation_id = _attach(house, path)
        (item,) = product.run(product.services.documents.attachments(conversation_id))
        assert item.outlook is not None
        assert item.outlook.by_meaning
        assert _pid(product.vectors) is None, "nobody has asked"
        (found,) = _asked(house, conversation_id, _NO_WORDS)
        assert len(found.text) > 1_000, "words find nothing here"
        kept, learned, model = product.run(product._lane.read(_count))
        assert kept == learned > 5
        assert len(model.split("/")[0]) == 64
        pid = _pid(product.vectors)
        assert pid is not None
        # Its death costs nothing but itself.
        os.kill(pid, signal.SIGKILL)
        message = house.answer(product.run(product.services.chat.send(conversation_id, "Which item is a chair?")))
        assert message.text
    with open_house(tmp_path / "data", n_ctx=1024) as house:
        conversation_id = _attach(house, path)  # read anew; the passages are the same
        assert house.product.run(house.product._lane.read(_count)) == (kept, learned, model)


class OneModel:
    """A library with a single file."""

    def __init__(self, path: Path) -> None:
        header = read_model(path)
        of_file = (path.stat().st_size, False, True, header.architecture, "F16", None, 256, 0, 0, None, "")
        self.card = ModelCard("tiny", "Tiny", path, *of_file, output=header.output)

    async def cards(self) -> Sequence[ModelCard]:
        return (self.card,)


def _nothing() -> LoadedModel:
    return LoadedModel(None, None, None, None)


async def test_worker_ends_when_idle_and_makes_room(tmp_path: Path, paths: Paths) -> None:
    shelf = OneModel(make_embedding(EMBEDDING_RECIPES["mean"], tmp_path / "m.gguf"))
    worker = VectorWorker(shelf, Planner(paths), _nothing, idle_s=0.0)
    try:
        texts = ["the cat", "of tom " * 400, "the cat"]  # the second is longer than the model can take
        made = await worker.embed(texts, "passage")
        assert made is not None
        assert [len(row) for row in made.rows] == [64 * 4] * 3
        assert made.rows[0] == made.rows[2] != made.rows[1]
        assert worker._up is not None
        keeping = worker._up.supervisor._keeping
        assert keeping is not None
        await asyncio.wait_for(keeping, PATIENCE_S)
        again = await worker.embed(texts[:1], "passage")  # comes back
        assert again is not None
        assert again.model == made.model
        await worker.make_room()
        assert _pid(worker) is None
    finally:
        await worker.close()
    assert await worker.embed(["x"], "passage") is None


async def test_without_room_beside_the_chat_words_are_all(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = OneModel(make_embedding(EMBEDDING_RECIPES["mean"], tmp_path / "m.gguf"))
    monkeypatch.setattr("app.models.planner._detect", lambda *_, **__: machine(GIB // 2))
    planner = Planner(paths)
    chat = await planner.plan_file(_STARTER, Wish(n_ctx=1024))
    assert isinstance(chat, Plan)
    assert Beside(chat, loaded=True).host_bytes == sum(device.weights_bytes for device in chat.devices)
    assert Beside(chat, loaded=False).host_bytes > Beside(chat, loaded=True).host_bytes
    beside = LoadedModel("chat", Ready(1, "", 0.0, ()), chat, None)
    worker = VectorWorker(shelf, planner, lambda: beside)
    try:
        assert await worker.embed(["x"], "passage") is not None
        await worker.end()
        monkeypatch.setattr("app.models.planner._detect", lambda *_, **__: machine(Beside(chat, True).host_bytes))
        assert await worker.embed(["x"], "passage") is None
        outlook = await worker.outlook()
        assert outlook is not None
        assert not outlook.by_meaning
        assert any(character.isdigit() for character in outlook.sentence), "with numbers"
    finally:
        await worker.close()


def test_headers_say_what_a_model_makes(tmp_path: Path) -> None:
    made = {name: make_embedding(recipe, tmp_path / f"{name}.gguf") for name, recipe in RERANK_RECIPES.items()}
    assert {read_model(path).output for path in made.values()} == {"scores"}
    for name, recipe in EMBEDDING_RECIPES.items():
        assert read_model(make_embedding(recipe, tmp_path / f"{name}.gguf")).output == "vectors"
    assert read_model(_STARTER).output == "text"
