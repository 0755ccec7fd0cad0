"""What travels between supervisor and worker comes back equal, and nothing else is let in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fit.plan import DeviceBytes, Plan
from engine.hardware.profile import DeviceKind
from engine.worker.spec import Alive, Failed, Loading, Ready, Starting, Stopped, WorkerEvent, WorkerSpec
from engine.worker.wire import (
    MAX_EVENT_BYTES,
    MAX_SPEC_BYTES,
    WireFault,
    decode_spec,
    decode_state,
    encode_spec,
    encode_state,
)

SPEC = WorkerSpec(
    plan=Plan(
        model_path=Path("models") / "Ä model.gguf",
        model_name="A model",
        n_ctx=4096,
        n_ctx_train=8192,
        n_seq_max=4,
        n_batch=512,
        n_ubatch=512,
        n_outputs_max=4,
        kv_type="q8_0",
        n_gpu_layers=0,
        load_mode="mmap",
        threads=2,
        devices=(DeviceBytes("CPU", DeviceKind.CPU, 10, 1, 2, 3, 4),),
    ),
    model_id="a-model",
    host="127.0.0.1",
    port=0,
    api_keys=("key",),
    parent_pid=17,
    rpc_endpoints=("127.0.0.1:50052",),
)

EVENTS: tuple[WorkerEvent, ...] = (
    Starting(17),
    Loading(0.42),
    Ready(17, "http://127.0.0.1:43210", 0.3, (("CPU_Mapped", "weights", 98_000_000), ("CPU", "kv", 5))),
    Failed("out_of_memory", "No memory is left.", "Choose a smaller context.", "line\nline \x1b[0m ü"),
    Stopped(),
    Alive(True, 12),
)


def test_a_spec_comes_back_equal() -> None:
    line = encode_spec(SPEC)
    assert "\n" not in line
    assert decode_spec(line.encode()) == SPEC


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_equal(event: WorkerEvent) -> None:
    line = encode_state(event)
    assert "\n" not in line
    assert decode_state(line.encode()) == event


def test_an_endless_evidence_is_cut_to_its_end() -> None:
    event = decode_state(encode_state(Failed("assert", "It died.", "", "\U0001f600" * 100_000 + "last")))
    assert isinstance(event, Failed)
    assert event.evidence.endswith("last")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "no known event"),
        (b'{"event": ["ready"]}', "no known event"),
        (b'{"event": "exploded"}', "no known event"),
        (b'{"event": "starting"}', "lacks the field 'pid'"),
        (b'{"event": "starting", "pid": true}', "starting.pid is not int"),
        (b'{"event": "starting", "pid": 1.0}', "starting.pid is not int"),
        (b'{"event": "starting", "pid": -1}', "impossible process id"),
        (b'{"event": "starting", "pid": 1' + b"0" * 100 + b"}", "too large"),
        (b'{"event": "starting", "pid": 1, "more": 2}', "unknown field 'more'"),
        (b'{"event": "loading", "progress_ratio": 1.5}', "outside 0 to 1"),
        (b'{"event": "loading", "progress_ratio": NaN}', "may travel"),
        (b'{"event": "loading", "progress_ratio": 1e999}', "is not float"),
        (b'{"event": "alive", "busy": 1, "steps": 1}', "alive.busy is not bool"),
        (b'{"event": "alive", "busy": true, "steps": -1}', "negative"),
        (b'{"event": "failed", "code": null, "sentence": "", "hint": "", "evidence": ""}', "failed.code is not str"),
        (b'{"event": "stopped"}' + b" " * MAX_EVENT_BYTES, "longer than"),
    ],
)
def test_a_strange_line_is_refused_by_name(line: bytes, named: str) -> None:
    with pytest.raises(WireFault, match=named):
        decode_state(line)


@pytest.mark.parametrize(
    "change",
    [
        {"address": "http://evil.example/path:1"},
        {"address": "file:///tmp/x"},
        {"address": "http://127.0.0.1:0"},
        {"address": "http://127.0.0.1:70000"},
        {"address": "http://user@127.0.0.1:80"},
        {"load_s": -1},
        {"buffers": [["CPU", "kv", -1]]},
        {"buffers": [["CPU", "kv"]]},
        {"buffers": [["CPU", "kv", "1"]]},
        {"buffers": [["CPU", "kv", 1]] * 5000},
        {"buffers": {}},
    ],
)
def test_a_strange_ready_is_refused(change: dict[str, Any]) -> None:
    fields = json.loads(encode_state(EVENTS[2]))
    with pytest.raises(WireFault):
        decode_state(json.dumps({**fields, **change}))


@pytest.mark.parametrize(
    "change",
    [
        {"kv_type": "f64"},
        {"n_ctx": "4096"},
        {"devices": [{"name": "CPU"}]},
        {"devices": [17]},
        {"model_path": 3},
    ],
)
def test_a_strange_plan_is_refused(change: dict[str, Any]) -> None:
    fields = json.loads(encode_spec(SPEC))
    fields["plan"].update(change)
    with pytest.raises(WireFault, match=next(iter(change))):
        decode_spec(json.dumps(fields))


def test_a_spec_beyond_the_limit_is_refused_on_both_sides() -> None:
    with pytest.raises(WireFault, match="longer"):
        encode_spec(WorkerSpec(SPEC.plan, "x" * MAX_SPEC_BYTES, "127.0.0.1", 0, (), 1))
    with pytest.raises(WireFault, match="longer"):
        decode_spec(b" " * (MAX_SPEC_BYTES + 1))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from([json.loads(encode_state(event)) for event in EVENTS]), st.data())
@settings(max_examples=300, deadline=None)
def test_any_mutation_of_an_event_is_refused_or_well_typed(fields: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(fields)))
    line = json.dumps({**fields, name: data.draw(_json)})
    try:
        event = decode_state(line)
    except WireFault:
        return
    assert decode_state(encode_state(event)) == event
