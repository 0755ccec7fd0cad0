"""Real workers that go on with a conversation after their end, from what they kept on disk."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.fit.plan import KvType
from engine.serving.kept.form import SUFFIX
from engine.worker.spec import KeptStates
from tests.engine.served import KEY, WorkerProcess, plan, serving, spec
from tests.made_models import TINY_HYBRID, TINY_LATENT, TINY_RECURRENT, TINY_WINDOWED, Recipe, make_tiny

pytestmark = [pytest.mark.native, pytest.mark.slow]

Wait = Callable[[Callable[[], bool], float], None]
SYSTEM = "You answer questions about these words. " + " ".join(f"river{n} table{n}" for n in range(60))
QUESTIONS = ("Name a colour.", "And another one?", "Which was the first?")


@dataclass(frozen=True)
class Said:
    """An answer and where its prompt came from."""

    text: str
    prompt_tokens: int
    cached_tokens: int


def call(worker: WorkerProcess, path: str, body: dict[str, Any] | None = None) -> bytes:
    parts = urlsplit(worker.address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
    try:
        head = {"Authorization": f"Bearer {KEY}"}
        connection.request("GET" if body is None else "POST", path, json.dumps(body) if body else None, head)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return content
    finally:
        connection.close()


def say(worker: WorkerProcess, messages: list[dict[str, str]], **more: object) -> Said:
    body = {"messages": messages, "max_tokens": 12, "temperature": 0, "prompt_cache_key": "talk", **more}
    found = json.loads(call(worker, "/v1/chat/completions", body))
    usage = found["usage"]
    text = found["choices"][0]["message"]["content"]
    return Said(text, usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"])


def converse(worker: WorkerProcess, messages: list[dict[str, str]], turns: range) -> list[Said]:
    """Ask and note the answers."""
    said = []
    for turn in turns:
        messages.append({"role": "user", "content": QUESTIONS[turn]})
        said.append(say(worker, messages))
        messages.append({"role": "assistant", "content": said[-1].text})
    return said


def counted(worker: WorkerProcess, name: str) -> int:
    lines = call(worker, "/metrics").decode().splitlines()
    return int(next(line.split()[-1] for line in lines if line.startswith(f"gatehouse_kept_states_{name}")))


def keeping(folder: Path, *, idle_s: float = 1000.0, key: str = "11" * 32) -> KeptStates:
    """With the usual rest only an orderly end writes."""
    return KeptStates(folder / "states", 1 << 30, key, idle_s)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "states").glob(f"*{SUFFIX}"))


def opening() -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}]


def test_a_conversation_goes_on_after_a_restart_as_if_there_had_been_none(tmp_path: Path) -> None:
    with serving() as worker:
        uninterrupted = converse(worker, opening(), range(3))
    messages = opening()
    with serving(kept_states=keeping(tmp_path)) as worker:
        before = converse(worker, messages, range(2))
    assert before == uninterrupted[:2]
    with serving(kept_states=keeping(tmp_path)) as worker:
        (after,) = converse(worker, messages, range(2, 3))
        assert counted(worker, "restored") == 1
    assert after == uninterrupted[2]
    assert after.cached_tokens > before[-1].prompt_tokens > 300


@pytest.mark.parametrize("other", ["key", "kv", "parts"])
def test_nothing_is_taken_over_under_another_key_or_kind_of_cache(tmp_path: Path, other: str) -> None:
    messages = opening()
    with serving(kept_states=keeping(tmp_path)) as worker:
        converse(worker, messages, range(1))
    changes = {"kept_states": keeping(tmp_path, key="22" * 32 if other == "key" else "11" * 32)}
    kv_type: KvType = "q8_0" if other == "kv" else "f16"
    with serving(plan=plan(kv_type=kv_type, kv_unified=other != "parts", n_ctx=8192), **changes) as worker:
        (said,) = converse(worker, messages, range(1, 2))
        assert said.cached_tokens == 0
        assert counted(worker, "restored") == 0
        assert counted(worker, "rejected") == (1 if other == "key" else 0)


def test_a_conversation_at_rest_is_written_and_forgotten_by_its_name(tmp_path: Path, wait_for: Wait) -> None:
    with serving(kept_states=keeping(tmp_path, idle_s=0.0)) as worker:
        say(worker, [*opening(), {"role": "user", "content": "Name a colour."}])
        say(
            worker,
            [{"role": "system", "content": SYSTEM[::-1]}, {"role": "user", "content": "Why?"}],
            prompt_cache_key="b",
        )
        wait_for(lambda: counted(worker, "written") == 2, 60.0)
        assert len(files(tmp_path)) == 2
        assert json.loads(call(worker, "/cache/drop", {"prompt_cache_key": "talk"})) == {"dropped": 1}
        wait_for(lambda: len(files(tmp_path)) == 1, 10.0)
        assert say(worker, [*opening(), {"role": "user", "content": "Name a fish."}]).cached_tokens < 100
        call(worker, "/cache/drop", {"prompt_cache_key": None})
        wait_for(lambda: not files(tmp_path), 10.0)


def test_a_worker_killed_while_it_writes_leaves_nothing_that_is_trusted(tmp_path: Path) -> None:
    messages = [*opening(), {"role": "user", "content": "Name a colour."}]
    states = tmp_path / "states"
    worker = WorkerProcess(spec(kept_states=keeping(tmp_path, idle_s=0.0)))
    try:
        worker.until_ready()
        clean = say(worker, messages)
        deadline = time.monotonic() + 60
        while not any(states.glob("*.part")) and not files(tmp_path):
            assert time.monotonic() < deadline
        worker.process.kill()
        worker.process.wait()
    finally:
        worker.close()
    for path in files(tmp_path):  # it was quicker than we were: do what a power cut does to a file not yet on disk
        path.write_bytes(path.read_bytes()[: -secrets.randbelow(1000) - 1])
    with serving(kept_states=keeping(tmp_path)) as after:
        again = say(after, messages)
        assert counted(after, "restored") == 0
    assert (again.text, again.cached_tokens) == (clean.text, 0)


@pytest.mark.parametrize(
    ("recipe", "unified"),
    [(TINY_HYBRID, True), (TINY_RECURRENT, True), (TINY_WINDOWED, True), (TINY_LATENT, True), (TINY_LATENT, False)],
    ids=lambda given: given.architecture if isinstance(given, Recipe) else "unified" if given else "parts",
)
def test_every_kind_of_memory_goes_on_with_the_same_tokens(
    recipe: Recipe, unified: bool, made_folder: Path, tmp_path: Path, wait_for: Wait
) -> None:
    """Recurrent states and windows too: they are taken over whole, or not at all."""
    model = make_tiny(recipe, made_folder / f"tiny-{recipe.architecture}.gguf")
    begun = [3 + n * 7 % 250 for n in range(400)]
    asked = [*begun, *range(10, 40)]

    def complete(worker: WorkerProcess, prompt: list[int], tokens: int) -> tuple[str, int]:
        body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
        found = json.loads(call(worker, "/v1/completions", body))
        return found["choices"][0]["text"], found["usage"]["prompt_tokens_details"]["cached_tokens"]

    made = plan(model_path=model, n_ctx=8192, n_ctx_train=2048, kv_unified=unified)
    here = {"plan": made, "kept_states": keeping(tmp_path, idle_s=0.0)}
    with serving(**here) as worker:
        complete(worker, begun, 1)
        wait_for(lambda: counted(worker, "written") == 1, 30.0)
        uninterrupted = complete(worker, asked, 16)
    with serving(**here) as worker:
        assert complete(worker, asked, 16) == uninterrupted
        assert counted(worker, "restored") == 1
    assert uninterrupted[1] == len(begun)
