"""The whole way, with real models on both sides: the starter here, llama-server behind a proxy there as the cloud."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.chat.records import MessageStatus
from app.gate.label import GateMode
from app.gate.records import Ask, Outcome, Provider
from tests.app.native import STARTER, open_house
from tests.bench import peers
from tests.cloud_double import CloudDouble

pytestmark = [pytest.mark.native, pytest.mark.slow]

Wait = Callable[[Callable[[], bool], float], None]
MODEL = Path(sys.prefix) / f"share/gatehouse/models/{STARTER}.gguf"
NAME = "Anna Novak"
QUESTION = f"A letter for {NAME}. Begin with: Dear {NAME},"


@pytest.fixture(scope="module")
def server_path() -> Path:
    path = peers.locate().path("llama-server")
    if not path.exists():
        pytest.skip("llama-server is not built; make bench builds it")
    return path


@contextmanager
def _llama_server(path: Path, wait_for: Wait) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        path,
        "-m",
        MODEL,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "-c",
        "1024",
        "-t",
        "1",
        "--no-webui",
        "--temp",
        "0",
    ]
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}
    )
    address = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        assert process.poll() is None, "llama-server ended"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError):
            return False

    try:
        wait_for(healthy, 60.0)
        yield address
    finally:
        process.kill()
        process.wait(10)


def test_one_conversation_through_the_gate(tmp_path: Path, server_path: Path, wait_for: Wait) -> None:
    with (
        _llama_server(server_path, wait_for) as upstream,
        CloudDouble(upstream) as cloud,
        open_house(tmp_path, n_ctx=1024, max_tokens=24, temperature=0.0) as house,
    ):
        product, gate = house.product, house.product.services.gate
        product.begin()
        house.ready()
        assert product.run(gate.bytes_left()).total == 0
        product.run(gate.add_term(NAME, "PERSON"))
        product.run(gate.save_provider(Provider("", "Nimbus", cloud.base_url, STARTER, n_ctx=1024)))
        local = house.answer(product.run(product.chat.send(None, QUESTION)))
        refused = product.run(gate.preview(Ask(local.conversation_id, local.id)))
        assert refused.verdict.code == "local_only", "new conversations are local only"

        product.run(gate.set_mode(local.conversation_id, GateMode.ASK))
        shown = product.run(gate.preview(Ask(local.conversation_id, local.id)))
        assert shown.verdict.allowed, shown.verdict
        assert NAME not in shown.body.decode()
        hidden = next(redaction for redaction in shown.redactions if redaction.text == NAME)
        assert hidden.placeholder in shown.messages[-1].after
        assert not cloud.answers_asked(), "looking sends nothing"

        answer = house.answer(product.run(gate.send(shown.id, shown.body_sha256)))
        assert answer.status is MessageStatus.COMPLETE, answer.error
        assert answer.stats is not None
        assert (answer.stats.route, answer.stats.provider) == ("cloud", "Nimbus")
        assert answer.parent_id == local.parent_id
        assert answer.text.startswith(f"Dear {NAME},"), "the model wrote the placeholder, and the name was put back"
        assert hidden.placeholder not in answer.text
        assert json.loads(shown.body) == cloud.answers_asked()[0]

        page = product.run(gate.ledger())
        begun, ended = page.rows
        assert (begun.conversation_id, begun.body_sha256) == (local.conversation_id, shown.body_sha256)
        assert (ended.request_id, ended.outcome) == (answer.stats.request_id, Outcome.COMPLETE)
        assert product.run(gate.verify_ledger()).intact
        assert product.run(gate.bytes_left()).total >= len(shown.body)

        cloud.misbehave("cut")
        again = product.run(gate.preview(Ask(local.conversation_id, local.id)))
        cut = house.answer(product.run(gate.send(again.id, again.body_sha256)))
        assert (cut.status, cut.text) == (MessageStatus.INTERRUPTED, "Good day ")
        assert len(cloud.answers_asked()) == 2


_KILLED_BETWEEN = """
import sys
from app.bootstrap import build
from app.gate.label import GateMode
from app.gate.records import Ask
from app.paths import resolve
from pathlib import Path
import app.gate.asking as asking, os

async def die(self, live, shown, consent):
    os._exit(9)  # agreed to, stored, and not sent yet

asking.Asking._write = die
product = build(resolve(Path(sys.argv[1])), exclusive=True)
gate = product.services.gate
shown = product.run(gate.preview(Ask(None, draft="Good day", mode=GateMode.ASK)))
product.run(gate.send(shown.id, shown.body_sha256))
import threading; threading.Event().wait(30)
"""


def test_a_kill_between_consent_and_sending_sends_nothing_later(tmp_path: Path) -> None:
    with CloudDouble() as cloud:
        with open_house(tmp_path, load_last_model=False) as house:
            house.product.run(house.product.services.gate.save_provider(Provider("", "N", cloud.base_url, "good")))
        done = subprocess.run([sys.executable, "-c", _KILLED_BETWEEN, str(tmp_path)], timeout=90, check=False)
        assert done.returncode == 9
        with open_house(tmp_path, load_last_model=False) as house:
            product = house.product
            (conversation,) = product.run(product.chat.conversations())
            left = product.run(product.chat.open(conversation.id)).messages
            assert [m.status for m in left] == [MessageStatus.COMPLETE, MessageStatus.INTERRUPTED]
            assert product.run(product.services.gate.bytes_left()).total == 0
        assert not cloud.answers_asked()
