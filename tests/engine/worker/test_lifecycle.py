"""What follows a death, as tables; and what counts as silence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.fit.concession import concessions
from engine.fit.plan import Plan
from engine.worker.lifecycle import (
    GiveUp,
    Life,
    Restart,
    RestartPolicy,
    is_quick,
    next_action,
)
from engine.worker.spec import Alive, Failed, Loading, Ready, Starting, Stopped
from engine.worker.watch import OutOfOrder, Patience, Watch
from tests.engine.worker.test_wire import SPEC

PLAN = replace(SPEC.plan, kv_type="f16", n_ubatch=512, n_ctx=4096, n_gpu_layers=0)
POLICY = RestartPolicy(delays_s=(0.25, 1.0, 4.0), long_life_s=30.0, max_quick_deaths=3)


def life(code: str, *, ready_s: float | None = 1.0, announced: bool = False, plan: Plan = PLAN) -> Life:
    return Life(plan, ready_s is not None, ready_s or 0.0, announced, Failed(code, "It died.", "Hint.", "log"))


def oom(*, ready_s: float | None = 1.0, announced: bool = False, plan: Plan = PLAN) -> Life:
    failed = Failed("out_of_memory", "It died.", "Hint.", "log", (), concessions(plan))
    return Life(plan, ready_s is not None, ready_s or 0.0, announced, failed)


def test_a_plan_in_use_shrinks_in_the_order_of_what_hurts_least() -> None:
    seen = []
    plan = replace(PLAN, n_gpu_layers=5, devices=())
    while isinstance(action := next_action(oom(plan=plan), 1, POLICY), Restart):
        assert action.gives_up
        plan = action.plan
        seen.append((plan.n_ubatch, plan.kv_type, plan.n_ctx, plan.n_gpu_layers))
    assert seen == [
        (128, "f16", 4096, 5),
        (128, "q8_0", 4096, 5),
        (128, "q8_0", 2048, 5),
        (128, "q8_0", 1024, 5),
        (128, "q8_0", 1024, 2),
        (128, "q8_0", 1024, 1),
        (128, "q8_0", 1024, 0),
        (128, "q4_0", 1024, 0),
    ]


SMALL = replace(PLAN, n_ubatch=128, kv_type="q4_0", n_ctx=1024)


@pytest.mark.parametrize(
    ("ended", "quick_deaths", "expected"),
    [
        (life("killed", ready_s=100.0), 1, Restart(PLAN, 0.25)),
        (life("killed"), 2, Restart(PLAN, 1.0)),
        (life("killed"), 3, None),
        (life("hung", ready_s=100.0), 1, Restart(PLAN, 0.25)),
        (life("segfault", ready_s=None), 1, Restart(PLAN, 0.25)),
        (oom(ready_s=None), 1, None),
        (oom(ready_s=None, announced=True), 1, None),
        (oom(plan=SMALL), 1, None),
        (life("illegal_instruction", ready_s=None), 1, None),
        (life("bad_model_file", ready_s=None), 1, None),
        (life("bad_model_file", ready_s=100.0), 1, Restart(PLAN, 0.25)),
        (life("anything", ready_s=None, announced=True), 1, None),
    ],
)
def test_what_follows(ended: Life, quick_deaths: int, expected: Restart | None) -> None:
    action = next_action(ended, quick_deaths, POLICY)
    if expected is None:
        assert isinstance(action, GiveUp)
        assert action.failed.code == ended.failed.code
    else:
        assert action == expected


def test_giving_up_after_a_row_says_so() -> None:
    action = next_action(life("segfault"), 3, POLICY)
    assert isinstance(action, GiveUp)
    assert "3 times in a row" in action.failed.sentence


@pytest.mark.parametrize(("ready_s", "quick"), [(None, True), (1.0, True), (31.0, False)])
def test_a_long_life_begins_a_new_row(ready_s: float | None, quick: bool) -> None:
    assert is_quick(life("killed", ready_s=ready_s), POLICY) is quick


READY = Ready(1, "http://127.0.0.1:1", 0.1, ())


def test_only_news_is_announced() -> None:
    watch = Watch(Patience())
    events = [Starting(1), Loading(0.0), Loading(0.001), Loading(0.5), Loading(1.0), READY, Alive(True, 1), Stopped()]
    announced = [watch.take(event) for event in events]
    assert announced == [Starting(1), Loading(0.0), None, Loading(0.5), Loading(1.0), READY, None, None]
    assert watch.state == Stopped()


@pytest.mark.parametrize("late", [Starting(1), Loading(0.5), READY])
def test_nothing_goes_backwards(late: Starting | Loading | Ready) -> None:
    watch = Watch(Patience())
    watch.take(READY)
    with pytest.raises(OutOfOrder):
        watch.take(late)
    assert watch.state == READY


def silence(watch: Watch, seconds: int) -> str | None:
    return next((reason for _ in range(seconds) if (reason := watch.tick(1.0))), None)


def test_silence_counts_and_a_heartbeat_forgives_it() -> None:
    watch = Watch(Patience(silence_s=60))
    watch.take(READY)
    assert silence(watch, 59) is None
    watch.take(Alive(False, 0))
    assert silence(watch, 59) is None
    assert silence(watch, 1) == "and was silent for 60 s"


def test_loading_may_be_silent_for_longer() -> None:
    watch = Watch(Patience(silence_s=60, load_silence_s=300))
    watch.take(Starting(1))
    watch.take(Loading(1.0))
    assert silence(watch, 299) is None
    assert silence(watch, 1) is not None


def test_a_busy_worker_must_step_and_an_idle_one_need_not() -> None:
    watch = Watch(Patience(silence_s=60, step_s=100))
    watch.take(READY)
    for _ in range(500):
        watch.take(Alive(False, 3))
        assert watch.tick(1.0) is None
    for steps in range(4, 300):
        watch.take(Alive(True, steps))
        assert watch.tick(1.0) is None
    reasons = []
    for _ in range(99):  # one second has passed since the last step
        watch.take(Alive(True, 299))
        reasons.append(watch.tick(1.0))
    assert reasons[-1] == "and finished no step for 100 s"


def test_a_machine_that_slept_blames_nobody() -> None:
    watch = Watch(Patience(silence_s=60))
    watch.take(READY)
    assert watch.tick(8 * 3600.0) is None


def test_who_said_goodbye_must_go_soon() -> None:
    watch = Watch(Patience(silence_s=60, farewell_s=5))
    watch.take(Failed("x", "", "", ""))
    assert silence(watch, 4) is None
    assert silence(watch, 1) is not None
