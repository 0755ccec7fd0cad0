"""The whole way: the real product asks a real OpenAI-compatible server beyond its gate, llama-server behind a proxy."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.chat.records import Message
from app.gate.label import GateMode, Label
from app.gate.records import Ask, Outcome, Provider
from engine.errors import GatehouseError
from tests.app.native import STARTER, House, open_house
from tests.bench import peers
from tests.cloud_double import CloudDouble

pytestmark = [pytest.mark.native, pytest.mark.slow]

MODEL = Path(sys.prefix) / "share/gatehouse/models" / f"{STARTER}.gguf"
IBAN = "DE89370400440532013000"
QUESTION = f"My account is {IBAN}. What is the capital of France?"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    tool = peers.locate().path("llama-server")
    if not tool.exists():
        pytest.skip("llama-server is not built here; make bench does")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [tool, "-m", MODEL, "--host", "127.0.0.1", "--port", str(port), "-t", "1", "-c", "2048", "-np", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("llama-server did not start")


def _asked_locally(house: House, label: Label) -> tuple[str, str]:
    """Conversation and answer of a first question."""
    product = house.product
    message = product.run(product.services.chat.send(None, QUESTION))
    answer = house.answer(message)
    product.run(product.services.gate.set_label(answer.conversation_id, label))
    return answer.conversation_id, answer.id


def _sent(house: House, ask: Ask) -> Message:
    """Through the sheet, to the answer's end."""
    gate = house.product.services.gate
    preview = house.product.run(gate.preview(ask))
    return house.answer(house.product.run(gate.send(preview.id, preview.body_sha256)))


@pytest.fixture(scope="module")
def cloud(server: str) -> Iterator[CloudDouble]:
    with CloudDouble(server) as double:
        yield double


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("cloud") / "data", max_tokens=40) as opened:
        models = opened.product.services.models
        opened.product.run(models.load(opened.product.run(models.models())[0].id))
        opened.ready()
        opened.product.run(opened.product.services.gate.scan(QUESTION))  # the detectors' process lives as long
        yield opened


@pytest.fixture(scope="module")
def provider(house: House, cloud: CloudDouble) -> Provider:
    wanted = Provider("", "House", cloud.base_url, "starter", "team", 2048, 1.0, 2.0)
    return house.product.run(house.product.services.gate.save_provider(wanted))


def test_from_the_gate_to_the_ledger(house: House, cloud: CloudDouble, provider: Provider) -> None:
    product, gate = house.product, house.product.services.gate
    conversation_id, answer_id = _asked_locally(house, Label.INTERNAL)
    asking = Ask(conversation_id, message_id=answer_id, provider_id=provider.id)
    assert not product.run(gate.preview(asking)).verdict.allowed, "local only is the default"
    product.run(gate.set_mode(conversation_id, GateMode.ASK))
    preview = product.run(gate.preview(asking))
    assert preview.verdict.allowed, preview.verdict
    assert IBAN not in preview.body.decode()
    assert preview.cost_usd_at_most is not None
    assert cloud.seen() == []

    answer = house.answer(product.run(gate.send(preview.id, preview.body_sha256)))
    assert answer.status == "complete", answer.error
    assert answer.text.strip()
    assert [seen.body.encode() for seen in cloud.seen()] == [preview.body]
    begun, ended = product.run(gate.ledger()).rows
    assert (begun.body_sha256, ended.outcome) == (preview.body_sha256, Outcome.COMPLETE)
    assert ended.completion_tokens
    assert ended.cost_usd is not None
    assert 0 < ended.cost_usd <= preview.cost_usd_at_most
    assert dict(begun.redactions)["IBAN"] >= 1
    assert product.run(gate.verify_ledger()).intact
    assert product.run(gate.bytes_left()).total == ended.bytes_out


def test_a_cut_answer_goes_on_and_a_failed_one_leaves_the_local_one(
    house: House, cloud: CloudDouble, provider: Provider
) -> None:
    product, gate, chat = house.product, house.product.services.gate, house.product.services.chat
    conversation_id, answer_id = _asked_locally(house, Label.INTERNAL)
    product.run(gate.set_mode(conversation_id, GateMode.ASK))
    before = len(cloud.seen())
    cloud.misbehave("cut")
    cut = _sent(house, Ask(conversation_id, answer_id, provider_id=provider.id))
    assert (cut.status, cut.text) == ("interrupted", "Good day ")
    cloud.misbehave()
    more = _sent(house, Ask(conversation_id, cut.id, provider_id=provider.id, resume=True))
    assert more.text.startswith("Good day ")
    cloud.misbehave("status:500")
    failed = _sent(house, Ask(conversation_id, answer_id, provider_id=provider.id))
    cloud.misbehave()
    assert failed.status == "failed"
    assert "(500)" in failed.error
    assert len(cloud.seen()) == before + 3, "nothing is sent again by itself"
    product.run(chat.choose_branch(answer_id))
    assert answer_id in {message.id for message in product.run(chat.open(conversation_id)).messages}


def test_offline_and_restricted_let_nothing_through(house: House, cloud: CloudDouble, provider: Provider) -> None:
    product, gate = house.product, house.product.services.gate
    conversation_id, answer_id = _asked_locally(house, Label.RESTRICTED)
    before = len(cloud.seen())
    asking = Ask(conversation_id, message_id=answer_id, provider_id=provider.id)
    product.run(gate.set_mode(conversation_id, GateMode.OPEN))
    with pytest.raises(GatehouseError):
        product.run(gate.ask(asking))
    product.run(gate.set_label(conversation_id, Label.PUBLIC))
    product.run(gate.set_offline(True))
    try:
        assert product.run(gate.preview(asking)).verdict.code == "offline"
        with pytest.raises(GatehouseError):
            product.run(gate.ask(asking))
    finally:
        product.run(gate.set_offline(False))
    assert len(cloud.seen()) == before
    assert house.answer(product.run(gate.ask(asking))).status == "complete"
    assert len(cloud.seen()) == before + 1
