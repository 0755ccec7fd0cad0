"""What is kept of loads and speeds, and what the next plan learns of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.fit.experience import SpeedSample
from engine.fit.measured import Compared, LoadMeasured, Measurements, compare, device_of, place_of, speed_measured
from engine.fit.plan import Band, DeviceBytes, Plan, Speed
from engine.hardware.profile import DeviceKind

MIB = 1 << 20
CARD = DeviceBytes("CUDA0", DeviceKind.GPU, 8 << 30, 100 * MIB, 10 * MIB, 0, 20 * MIB)
HOST = DeviceBytes("CPU", DeviceKind.CPU, 16 << 30, 50 * MIB, 0, 0, 5 * MIB)
PLAN = Plan(
    model_path=Path("model.gguf"),
    model_name="Model",
    n_ctx=2048,
    n_ctx_train=8192,
    n_seq_max=4,
    n_batch=512,
    n_ubatch=512,
    n_outputs_max=4,
    kv_type="f16",
    n_gpu_layers=31,
    load_mode="read",
    threads=1,
    devices=(CARD, HOST),
    experts_in_ram=(29,),
    speed=Speed(Band(80, 100, 120), Band(8, 10, 12), calibrated=True, prefill_factor=2.0, decode_factor=0.5),
)
BUFFERS = (
    ("CUDA0", "weights", 100 * MIB + 3000),
    ("CUDA0", "kv", 10 * MIB),
    ("CUDA0", "compute", 20 * MIB),
    ("CPU", "weights", 20 * MIB),
    ("CPU_REPACK", "weights", 20 * MIB),
    ("CUDA_Host", "weights", 10 * MIB),
    ("CPU", "output", 1 * MIB),
    ("CUDA_Host", "compute", 4 * MIB),
)


def test_a_load_as_planned_differs_nowhere() -> None:
    rows = compare(PLAN, BUFFERS)
    assert [(row.device, row.what, row.real_bytes // MIB) for row in rows] == [
        ("CUDA0", "weights", 100),
        ("CUDA0", "kv", 10),
        ("CUDA0", "compute", 20),
        ("CPU", "weights", 50),
        ("CPU", "compute", 5),
    ]
    assert not LoadMeasured(0.0, "m", 1, rows).differences


def test_what_is_not_as_planned_is_named() -> None:
    more = (*BUFFERS, ("CUDA0", "recurrent", 2 * MIB))
    (row,) = LoadMeasured(0.0, "m", 1, compare(PLAN, more)).differences
    assert (row.device, row.what, row.difference_bytes) == ("CUDA0", "recurrent", 2 * MIB)


def test_a_mapped_file_beside_a_card_says_nothing_of_main_memory() -> None:
    rows = compare(replace(PLAN, load_mode="mmap"), (*BUFFERS, ("CPU_Mapped", "weights", 500 * MIB)))
    assert ("CPU", "weights") not in {(row.device, row.what) for row in rows}


@pytest.mark.parametrize(
    ("buffer", "device"),
    [
        ("CUDA1", "CUDA1"),
        ("CUDA10", "CUDA10"),
        ("CUDA_Host", "CPU"),
        ("CUDA1_Host", "CPU"),
        ("RPC0[127.0.0.1:5]", "RPC0"),
        ("MTL0_Mapped", "MTL0"),
        ("CPU_REPACK", "CPU"),
    ],
)
def test_a_buffer_belongs_to_its_device(buffer: str, device: str) -> None:
    assert device_of(buffer, ["CUDA1", "CUDA10", "RPC0", "MTL0", "CPU"]) == device


def test_a_speed_is_held_against_the_prediction_before_its_correction() -> None:
    measured = speed_measured(PLAN, "digest", 1.0, prefill_tok_s=25.0, decode_tok_s=None)
    assert measured is not None
    assert measured.sample == SpeedSample("digest", "split", None, 0.5)
    assert speed_measured(replace(PLAN, speed=None), "digest", 1.0, prefill_tok_s=1.0, decode_tok_s=1.0) is None


def test_where_a_plan_computes() -> None:
    assert place_of(replace(PLAN, n_gpu_layers=0)) == "host"
    assert place_of(replace(PLAN, experts_in_ram=())) == "card"
    assert place_of(replace(PLAN, experts_in_ram=(), devices=(CARD, replace(HOST, kv_bytes=1)))) == "split"


def _load(at_s: float, allowance: int) -> LoadMeasured:
    return LoadMeasured(at_s, "m", 2048, (Compared("CPU", "kv", 1, 2, 0),), (("CUDA0", allowance),))


def test_what_is_kept_is_found_again_and_corrects(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "folder" / "measured.jsonl")
    assert store.experience().samples == ()
    store.note(_load(1.0, 300))
    store.note(_load(2.0, 200))
    speed = speed_measured(PLAN, "digest", 3.0, prefill_tok_s=None, decode_tok_s=30.0)
    assert speed is not None
    store.note(speed)
    again = Measurements(tmp_path / "folder" / "measured.jsonl")
    assert again.loads() == (_load(1.0, 300), _load(2.0, 200))
    assert again.speeds() == (speed,)
    experience = again.experience()
    assert experience.allowance_bytes("CUDA0") == 300
    assert experience.samples == (SpeedSample("digest", "split", 1.5, None),)


def test_only_recent_loads_count_for_an_allowance(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "measured.jsonl")
    for number in range(9):
        store.note(_load(number, 1000 if number == 0 else 100))
    assert store.experience().allowance_bytes("CUDA0") == 100


def test_a_damaged_line_costs_that_line(tmp_path: Path) -> None:
    file = tmp_path / "measured.jsonl"
    store = Measurements(file)
    store.note(_load(1.0, 1))
    with file.open("ab") as damaged:
        damaged.write(b'{"load":{"at_s":3}}\n\xff\xfe\n[1]\n{"load":null,"extra":1}\n{"load')
    assert store.loads() == (_load(1.0, 1),)


def test_the_file_stays_small_and_keeps_the_newest(tmp_path: Path) -> None:
    file = tmp_path / "measured.jsonl"
    store = Measurements(file)
    store.note(_load(1.0, 1))
    line = file.read_bytes()
    file.write_bytes(line * (600_000 // len(line)))
    store.note(_load(7.0, 1))
    assert file.stat().st_size < 200_000
    assert store.loads()[-1].at_s == 7.0
    assert [path.name for path in tmp_path.iterdir()] == ["measured.jsonl"]


def test_a_place_that_cannot_be_written_loses_only_the_measurement(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Measurements(tmp_path / "file" / "measured.jsonl")
    store.note(_load(1.0, 1))
    assert store.loads() == ()
