"""Several downloads: order, how many at once, pause, resume, cancel, and what is told of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.hub.client import HubClient
from engine.hub.disk import Disk
from engine.hub.download import folder_of, resolve
from engine.hub.pace import Pace
from engine.hub.queue import DownloadQueue, State, Status, job_id
from engine.hub.repository import ModelSource, RemoteModel
from engine.hub.transfer import Steps
from tests.engine.hub.conftest import QUICK, NoWait
from tests.engine.hub.direct import direct_client
from tests.engine.hub.tiny_gguf import tiny_gguf
from tests.hub_double import Flip, Gate, HubDouble, Loop

WaitFor = Callable[[Callable[[], bool], float], None]
REPO = "owner/models-GGUF"
NAMES = ["a-Q4_0", "b-Q4_0", "c-Q4_0"]


class Listener:
    """Remembers what was told and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[Status] = []
        self._changed = threading.Condition()

    def __call__(self, status: Status) -> None:
        with self._changed:
            self.told.append(status)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, 20), [(s.id, s.state, s.error) for s in self.told[-8:]]

    def states(self, identity: str) -> list[State]:
        states = [status.state for status in self.told if status.id == identity]
        return [state for number, state in enumerate(states) if number == 0 or state != states[number - 1]]

    def wait_until(self, identity: str, state: State) -> Status:
        self.wait_for(lambda: self.states(identity)[-1:] == [state])
        return [status for status in self.told if status.id == identity][-1]


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def models(hub: HubDouble, client: HubClient, halt: NoWait) -> list[RemoteModel]:
    hub.add(REPO, {f"{name}.gguf": tiny_gguf(300_000, seed=seed) for seed, name in enumerate(NAMES)})
    return [resolve(client, ModelSource(REPO, wanted=name), halt) for name in NAMES]


@pytest.fixture
def queue(hub: HubDouble, tmp_path: Path, listener: Listener) -> Iterator[DownloadQueue]:
    made = DownloadQueue(
        lambda: HubClient(endpoint=hub.address, patience=QUICK, make_client=direct_client),
        tmp_path / "models",
        listener,
        at_once=1,
        disk=Disk(free_bytes=lambda _: 10**12),
        steps=Steps(checkpoint_bytes=32_768),
    )
    yield made
    made.close()


def test_all_arrive_one_after_the_other(queue: DownloadQueue, models: list[RemoteModel], listener: Listener) -> None:
    identities = [queue.add(model) for model in models]
    for identity in identities:
        status = listener.wait_until(identity, "done")
        assert status.receipt is not None
        assert listener.states(identity) == ["waiting", "running", "done"]
    running: set[str] = set()
    for status in listener.told:
        (running.add if status.state == "running" else running.discard)(status.id)
        assert len(running) <= 1
    done = [status.id for status in listener.told if status.state == "done"]
    assert done == identities


def test_order_can_be_changed(
    hub: HubDouble, queue: DownloadQueue, models: list[RemoteModel], listener: Listener
) -> None:
    gate = Gate(50_000)
    hub.misbehave(gate, path=NAMES[0])
    first, second, third = (queue.add(model) for model in models)
    queue.move(third, 0)
    assert [status.id for status in queue.statuses()] == [third, first, second]
    gate.opened.set()
    for identity in (first, second, third):
        listener.wait_until(identity, "done")
    assert [status.id for status in listener.told if status.state == "done"] == [first, third, second]


def test_pause_lets_the_next_one_on_and_resume_goes_on_with_the_rest(
    hub: HubDouble, queue: DownloadQueue, models: list[RemoteModel], listener: Listener, wait_for: WaitFor
) -> None:
    hub.misbehave(Gate(100_000), path=NAMES[0])
    first = queue.add(models[0])
    wait_for(lambda: any(status.progress.done_bytes >= 65_536 for status in queue.statuses()), 20.0)
    second = queue.add(models[1])
    queue.pause(first)
    listener.wait_until(first, "paused")
    listener.wait_until(second, "done")
    hub.seen.clear()
    queue.resume(first)
    listener.wait_until(first, "done")
    assert str(hub.ranges(NAMES[0])[0]) != "bytes=0-"
    assert not str(hub.ranges(NAMES[0])[0]).startswith("bytes=0-")


def test_cancel_throws_away_whether_it_runs_or_waits(
    hub: HubDouble, queue: DownloadQueue, models: list[RemoteModel], listener: Listener, tmp_path: Path
) -> None:
    gate = Gate(100_000)
    hub.misbehave(gate, path=NAMES[0])
    first, second = queue.add(models[0]), queue.add(models[1])
    assert gate.reached.wait(10)
    queue.cancel(second)
    queue.cancel(first)
    listener.wait_until(second, "cancelled")
    listener.wait_until(first, "cancelled")
    queue.close()
    assert not folder_of(tmp_path / "models", REPO).exists()


def test_a_download_taken_up_while_it_is_thrown_away_waits_for_that(
    hub: HubDouble,
    queue: DownloadQueue,
    models: list[RemoteModel],
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, allowed = threading.Event(), threading.Event()

    def slowly(*arguments: object) -> int:
        begun.set()
        assert allowed.wait(20)
        return 0

    monkeypatch.setattr("engine.hub.queue.discard", slowly)
    hub.misbehave(Loop(), path=NAMES[0], where="hub", forever=True)
    identity = queue.add(models[0])
    listener.wait_until(identity, "failed")
    queue.cancel(identity)
    assert begun.wait(10)
    hub.behave()
    queue.add(models[0])
    assert listener.states(identity)[-2:] == ["cancelled", "waiting"]
    allowed.set()
    listener.wait_until(identity, "done")


def test_a_failed_one_tells_its_cause_and_can_be_tried_again(
    hub: HubDouble, queue: DownloadQueue, models: list[RemoteModel], listener: Listener
) -> None:
    hub.misbehave(Flip(200_000), path=NAMES[0])
    identity = queue.add(models[0])
    status = listener.wait_until(identity, "failed")
    assert status.error is not None
    assert status.error.code == "checksum_mismatch"
    assert queue.add(models[0]) == identity
    assert listener.wait_until(identity, "done").error is None
    assert len(queue.statuses()) == 1


def test_closing_keeps_what_arrived_and_the_next_start_shows_it(
    hub: HubDouble,
    queue: DownloadQueue,
    models: list[RemoteModel],
    listener: Listener,
    tmp_path: Path,
    wait_for: WaitFor,
) -> None:
    gate = Gate(100_000)
    hub.misbehave(gate, path=NAMES[0])
    identity = queue.add(models[0])
    assert gate.reached.wait(10)
    wait_for(lambda: any(status.progress.done_bytes >= 65_536 for status in queue.statuses()), 20.0)
    queue.close()
    assert listener.states(identity)[-1] == "paused"
    again = DownloadQueue(
        lambda: HubClient(endpoint=hub.address, patience=QUICK, make_client=direct_client),
        tmp_path / "models",
        listener,
        disk=Disk(free_bytes=lambda _: 10**12),
    )
    again.add_unfinished()
    (status,) = again.statuses()
    assert (status.id, status.state) == (job_id(models[0]), "paused")
    assert status.progress.done_bytes >= 65_536
    again.resume(status.id)
    listener.wait_until(identity, "done")
    again.close()


def test_space_counts_what_the_others_still_need(
    hub: HubDouble, models: list[RemoteModel], listener: Listener, tmp_path: Path
) -> None:
    room = 268_435_456 + 450_000
    queue = DownloadQueue(
        lambda: HubClient(endpoint=hub.address, patience=QUICK, make_client=direct_client),
        tmp_path / "models",
        listener,
        disk=Disk(free_bytes=lambda _: room),
    )
    gate = Gate(50_000)
    hub.misbehave(gate, path=NAMES[0])
    first = queue.add(models[0])
    assert gate.reached.wait(10)
    second = queue.add(models[1])
    status = listener.wait_until(second, "failed")
    assert status.error is not None
    assert status.error.code == "disk_full"
    gate.opened.set()
    listener.wait_until(first, "done")
    queue.resume(second)
    listener.wait_until(second, "done")
    queue.close()


def test_pace_needs_a_moment_and_forgets_the_past() -> None:
    pace = Pace()
    pace.start(0.0, 1_000_000)
    assert pace.bytes_per_s(0.1) is None
    pace.mark(1.0, 3_000_000)
    assert pace.bytes_per_s(1.0) == pytest.approx(2_000_000)
    assert pace.left_s(1.0, 10_000_000) == pytest.approx(5.0)
    for second in range(2, 40):
        pace.mark(float(second), 3_000_000 + second * 1000)
    assert pace.bytes_per_s(39.0) == pytest.approx(1000, rel=0.05)
    assert pace.bytes_per_s(139.0) == pytest.approx(100, rel=0.2)
    pace.mark(140.0, 0)
    assert pace.bytes_per_s(140.1) is None


def test_pace_of_nothing_names_no_time_left() -> None:
    pace = Pace()
    pace.start(0.0, 5)
    pace.mark(5.0, 5)
    assert pace.bytes_per_s(5.0) == 0
    assert pace.left_s(5.0, 100) is None
