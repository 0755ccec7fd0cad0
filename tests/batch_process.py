"""A process that works on the batches of a data folder and can be killed at any moment, and the model's stand-in.

``python -m tests.batch_process app DATA FILES`` begins or goes on with a batch until all its files have ended.
``python -m tests.batch_process model`` answers as a worker would: it speaks the OpenAI API on loopback, finds the total
in the document that it is shown, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from app.bus import Bus
from app.documents.batch_records import BatchState, NewBatch
from app.documents.kit import Kit
from app.documents.pool import ReaderPool
from app.documents.schema_shelf import SchemaShelf
from app.documents.service import DocumentsService
from app.events import BatchChanged, Event
from app.extraction.ask import LocalAsker
from app.extraction.extractor import LocalExtractor
from app.extraction.learning import Lesson, learn
from app.extraction.schema import Field, FieldType, Schema
from app.lanes import StoreLane
from app.models.records import LoadedModel
from app.paths import resolve
from app.providers.provider import Endpoint
from engine.errors import GatehouseError, WorkerError

SLIP = Schema("slip", "Slip", "A slip of paper", (Field("total", FieldType.AMOUNT, "What is to pay", required=True),))


class ModelProcess:
    """Keeps the stand-in running, as the models service keeps a worker."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._address = ""
        self._starting = asyncio.Lock()

    def loaded(self) -> LoadedModel:
        return LoadedModel("stand-in", None, None, None)

    async def ensure_ready(self, model_id: str | None) -> Endpoint:
        async with self._starting:
            while self._process is None or self._process.poll() is not None or not self._address:
                self.stop()
                await asyncio.to_thread(self._start)  # without an address: killed before it could say it
        return Endpoint(self._address, "none", "stand-in", 4096, "CPU")

    async def explain_loss(self, endpoint: Endpoint) -> GatehouseError | None:
        return WorkerError("killed", "The model's process was killed.")

    def stop(self) -> None:
        process, self._process, self._address = self._process, None, ""
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.batch_process", "model"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._address = self._process.stdout.readline().strip()


async def _work(data: Path, files: Path) -> None:
    paths = resolve(data)
    paths.make_folders()
    lane, bus, model = StoreLane(paths.database), Bus(), ModelProcess()

    async def teach(schema: Schema) -> Lesson:
        return await lane.read(lambda connection: learn(connection, schema))

    async def make_asker() -> LocalAsker:
        return LocalAsker(await model.ensure_ready(None))

    extractor = LocalExtractor(model, lambda endpoint: LocalAsker(endpoint, "batch"), teach)
    kit = Kit(lane, bus, ReaderPool(), extractor, b"k" * 32)
    service = DocumentsService(kit, SchemaShelf(lane, bus, lambda: (SLIP,)), make_asker)
    ended = asyncio.Event()

    def listen(event: Event) -> None:
        if isinstance(event, BatchChanged) and event.batch.state is BatchState.DONE:
            ended.set()

    bus.subscribe(listen)
    try:
        await service.start()
        known = await service.batches()
        if not known:
            await service.create(NewBatch((files,), "slip"))
        elif known[0].state is BatchState.DONE:
            ended.set()
        print("working", flush=True)  # noqa: T201 - tells the test
        await ended.wait()
    finally:
        await service.close()
        model.stop()
        await asyncio.to_thread(lane.close)


_TOTAL = re.compile(r"Total: \d+\.\d\d")


class _Answers(BaseHTTPRequestHandler):
    """``POST /v1/chat/completions`` only."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = _TOTAL.findall(asked["messages"][-1]["content"])
        content = json.dumps({"total": found[-1] if found else None})
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        body = json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def _answer() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)  # noqa: T201
    sys.stdin.read()


def main() -> None:
    roles: dict[str, Callable[[], None]] = {
        "app": lambda: asyncio.run(_work(Path(sys.argv[2]), Path(sys.argv[3]))),
        "model": _answer,
    }
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):  # the app was killed while we began
        roles[sys.argv[1]]()


if __name__ == "__main__":
    main()
