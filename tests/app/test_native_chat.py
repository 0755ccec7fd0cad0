"""Chat with the real starter model in a real worker: answers, a worker killed in mid-answer, swapping models."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.chat.records import MessageStatus
from engine.errors import GatehouseError, ModelFileError
from engine.fit.plan import Plan, Wish
from tests.app.native import STARTER, House, open_house

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("native"), n_ctx=1024, max_tokens=24, temperature=0.0) as opened:
        opened.product.begin()
        opened.ready()
        yield opened


@pytest.fixture
def own_house(tmp_path: Path) -> Iterator[House]:
    """For tests that end or replace the worker."""
    with open_house(tmp_path / "own", n_ctx=1024, max_tokens=600, temperature=0.0) as opened:
        opened.product.begin()
        opened.ready()
        yield opened


def test_question_is_answered_with_statistics(house: House) -> None:
    run, chat = house.product.run, house.product.services.chat
    message = house.answer(run(chat.send(None, "What is the capital of France?")))
    assert message.status is MessageStatus.COMPLETE
    assert "Paris" in message.text
    assert message.model_id == STARTER
    stats = message.stats
    assert stats is not None
    assert stats.device == "CPU"
    assert stats.prompt_tokens is not None
    assert stats.completion_tokens is not None
    assert 10 < stats.prompt_tokens < 100
    assert 3 < stats.completion_tokens <= 24
    assert stats.finish_reason in ("stop", "length")
    assert stats.decode_tok_s is not None
    assert stats.decode_tok_s > 0


def test_second_turn_finds_the_prefix_in_the_cache(house: House) -> None:
    run, chat = house.product.run, house.product.services.chat
    first = house.answer(run(chat.send(None, "Name a colour of the rainbow.")))
    second = house.answer(run(chat.send(first.conversation_id, "Name another one.")))
    assert second.stats is not None
    assert second.stats.cached_tokens is not None
    assert second.stats.cached_tokens > 20


def test_measure_is_exact_and_the_overlong_is_refused(house: House) -> None:
    run, chat = house.product.run, house.product.services.chat
    use = run(chat.measure(None, "one two three"))
    assert (use.exact, use.n_ctx) == (True, 1024)
    assert 10 < use.prompt_tokens < 60
    with pytest.raises(GatehouseError) as caught:
        run(chat.send(None, "river " * 2000))
    assert caught.value.code == "context_overflow"
    assert "1,024" in caught.value.sentence


def test_stop_is_felt_by_the_worker(house: House) -> None:
    run, chat = house.product.run, house.product.services.chat
    answer_id = run(chat.send(None, "Write a very long story about a ship."))
    house.first_words(answer_id)
    run(chat.stop(answer_id))
    message = house.answer(answer_id)
    assert message.status in (MessageStatus.STOPPED, MessageStatus.COMPLETE)
    assert message.text


def test_bad_file_is_refused_and_the_loaded_model_stays(house: House, tmp_path: Path) -> None:
    run, models = house.product.run, house.product.services.models
    bad = tmp_path / "letter.gguf"
    bad.write_bytes(b"Dear model, I am a letter.")
    with pytest.raises(ModelFileError):
        run(models.add_file(bad))
    before = house.ready()
    with pytest.raises(ModelFileError, match="no model"):
        run(models.load("letter"))
    assert models.loaded().model_id == STARTER
    assert house.ready().pid == before.pid


def test_plan_names_what_it_takes(house: House) -> None:
    plan = house.product.run(house.product.services.models.plan(STARTER, Wish(n_ctx=2048)))
    assert isinstance(plan, Plan)
    assert plan.n_ctx == 2048
    assert sum(device.kv_bytes for device in plan.devices) == 2048 * 23_040


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal 9")
def test_killed_worker_keeps_the_text_and_the_next_message_works(own_house: House) -> None:
    house = own_house
    run, chat = house.product.run, house.product.services.chat
    answer_id = run(chat.send(None, "Write a very long story about a lighthouse."))
    house.first_words(answer_id)
    before = house.ready()
    os.kill(before.pid, signal.SIGKILL)
    message = house.answer(answer_id)
    house.product.services.settings.update(max_tokens=16)
    assert message.status is MessageStatus.INTERRUPTED
    assert message.text
    assert message.error
    following = house.answer(run(chat.send(message.conversation_id, "Go on.")))
    assert following.status is MessageStatus.COMPLETE, following.error
    assert house.ready().pid != before.pid
    stored = run(chat.open(message.conversation_id)).messages
    assert [m.status for m in stored] == [
        MessageStatus.COMPLETE,
        MessageStatus.INTERRUPTED,
        MessageStatus.COMPLETE,
        MessageStatus.COMPLETE,
    ]
    assert stored[1] == message


@pytest.mark.slow
def test_lives_of_a_model(own_house: House) -> None:
    """Loaded with another context, asked for again as it is, unloaded, and loaded again by sending."""
    house = own_house
    house.product.services.settings.update(max_tokens=8)
    run, services = house.product.run, house.product.services
    first = house.ready()
    run(services.models.load(STARTER, Wish(n_ctx=512)))
    plan = services.models.loaded().plan
    assert plan is not None
    assert plan.n_ctx == 512
    second = house.ready()
    assert second.pid != first.pid
    run(services.models.load(STARTER, Wish(n_ctx=512)))
    assert house.ready().pid == second.pid
    run(services.models.unload())
    assert services.models.loaded().state is None
    message = house.answer(run(services.chat.send(None, "Say hello.")))
    assert message.status is MessageStatus.COMPLETE, message.error
