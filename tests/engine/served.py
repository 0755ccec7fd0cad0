"""A real worker process with the starter model, spoken to by its own protocol."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.fit.plan import Plan
from engine.worker.spec import Alive, Ready, Starting, WorkerEvent, WorkerSpec
from engine.worker.wire import decode_state, encode_spec

STARTER = Path(sys.prefix) / "share/gatehouse/models/SmolLM2-135M-Instruct-Q4_1.gguf"
KEY = "a-key-for-tests"
MODEL_ID = "starter"


def plan(**changes: object) -> Plan:
    """The starter in a small context, on one thread: tests share the machine, and threads that spin for each other
    make everybody wait."""
    base = Plan(
        model_path=STARTER,
        model_name="SmolLM2 135M",
        n_ctx=2048,
        n_ctx_train=8192,
        n_seq_max=4,
        n_batch=512,
        n_ubatch=512,
        n_outputs_max=8,
        kv_type="f16",
        n_gpu_layers=0,
        load_mode="mmap",
        threads=1,
        devices=(),
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def spec(**changes: object) -> WorkerSpec:
    """A worker of this process for :func:`plan`."""
    base = WorkerSpec(plan=plan(), model_id=MODEL_ID, host="127.0.0.1", port=0, api_keys=(KEY,), parent_pid=os.getpid())
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


class WorkerProcess:
    """The process, its events, and where it answers once it is ready."""

    def __init__(self, asked: WorkerSpec) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.address = ""
        self.tell(encode_spec(asked))

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hang_up(self) -> None:
        """Close its standard input, as the end of this process would."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def events(self) -> Iterator[WorkerEvent]:
        """What it says, heartbeats left out, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = decode_state(line)
            if not isinstance(event, Alive):
                yield event

    def until_ready(self) -> Ready:
        """Wait until it serves."""
        events = self.events()
        assert isinstance(next(events), Starting)
        for event in events:
            if isinstance(event, Ready):
                self.address = event.address
                return event
        raise AssertionError("the worker ended before it was ready")

    def close(self) -> None:
        """End it, whatever it is doing."""
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()


@contextmanager
def serving(**changes: object) -> Iterator[WorkerProcess]:
    """A ready worker, stopped in order at the end."""
    worker = WorkerProcess(spec(**changes))
    try:
        worker.until_ready()
        yield worker
        worker.tell("stop")
        assert worker.process.wait(10) == 0
    finally:
        worker.close()
