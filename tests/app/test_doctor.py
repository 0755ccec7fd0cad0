"""The doctor's report, read by a person and by a machine; on sound machines and on ailing ones."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.doctor import (
    DatabaseState,
    EngineBuild,
    FoundModel,
    KeptReport,
    Report,
    conclude,
    examine,
    read_engine_build,
    report_json,
    report_text,
)
from app.documents.recognisers import Tesseract
from app.paths import Paths, resolve
from app.store import driver
from app.store.database import SCHEMA_VERSION, open_writer
from app.vault import changing
from app.vault.vault import Vault
from engine.hardware.profile import Bandwidth, DeviceKind, Disk, Gpu, Machine, Memory, ProbeNote, Processor

GIB = 1 << 30

PROCESSOR = Processor(
    "AMD Ryzen 9 7950X 16-Core Processor", "x86_64", 16, 16, 32, 32, None, ("avx2", "avx512f", "avx512_vnni")
)
CARD = Gpu(
    "NVIDIA GeForce RTX 4090", DeviceKind.GPU, "CUDA0", "0000:01:00.0", 24 * GIB, 22 * GIB, False, ("nvml",), 1e12
)
WORKSTATION = Machine(
    system="Ubuntu 24.04.1 LTS, kernel 6.8.0",
    processor=PROCESSOR,
    memory=Memory(64 * GIB, 50 * GIB, None),
    disks=(Disk(Path("/home/a/models"), 2_000_000_000_000, 512_000_000_000, "ext4"),),
    gpus=(CARD,),
    bandwidth=Bandwidth(62.5e9, 16, 1_795_000_000.0),
    notes=(ProbeNote("processor", True, 0.01, "AMD Ryzen 9"), ProbeNote("nvml", True, 0.31, "1 device")),
)
REPORT = Report(
    version="0.1.0",
    machine=WORKSTATION,
    conclusion=conclude(WORKSTATION),
    engine=EngineBuild("0.3.36", "0.25.3", ("CPU", "CUDA", "RPC")),
    data_folder=Path("/home/a/.local/share/gatehouse"),
    database=DatabaseState(Path("/d/gatehouse.db"), True, SCHEMA_VERSION, 1_200_000, 12, 1, ""),
    models=(
        FoundModel("small", Path("/m/small.gguf"), 98_362_432, "Q4_1", 134_515_008, True, ""),
        FoundModel("broken", Path("/m/broken.gguf"), 100, "", None, False, "broken.gguf ends before its header does."),
    ),
    kept=KeptReport(2, 120_000_000),
)


def lines_of(label: str, text: str) -> list[str]:
    """The block of a label."""
    lines = text.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith(f"{label:<13}"))
    last = next((i for i in range(first + 1, len(lines)) if not lines[i].startswith(" ")), len(lines))
    return [line[13:] for line in lines[first:last]]


def test_a_person_reads_it() -> None:
    text = report_text(REPORT)
    assert text.startswith("Gatehouse 0.1.0 on Ubuntu 24.04.1 LTS, kernel 6.8.0\n\nModels of up to about")
    assert lines_of("Processor", text) == [
        "AMD Ryzen 9 7950X 16-Core Processor",
        "16 cores, 32 threads; models compute with 16 threads",
        "AVX2, AVX512F, AVX512-VNNI",
    ]
    assert lines_of("Memory", text) == [
        "50.0 GiB free of 64.0 GiB",
        "62.5 GB/s, measured on 2026-11-18 with 16 threads",
    ]
    assert lines_of("Graphics", text) == [
        "NVIDIA GeForce RTX 4090",
        "22.0 GiB free of 24.0 GiB; 1000 GB/s by its data sheet; used as CUDA0",
    ]
    assert lines_of("Engine", text) == ["llama-cpp-python 0.3.36, ggml 0.25.3; built for CPU, CUDA, RPC"]
    assert lines_of("Database", text) == [
        f"12 conversations, 1 message, 1.2 MB, not encrypted (schema {SCHEMA_VERSION})"
    ]
    assert lines_of("Models", text) == [
        "small    98.4 MB, Q4_1, 135 million parameters, built in",
        "broken     100 B, ?",
        "  ✗ broken.gguf ends before its header does.",
    ]
    assert " ".join(lines_of("Kept", text)) == (
        "memory of 2 past conversations, 120 MB, encrypted with a key that comes from the store's"
    )
    assert lines_of("Scans", text) == ["read by the built-in recogniser (Tesseract is not installed, and not needed)"]
    there = Tesseract(Path("/usr/bin/tesseract"), Path("/t"), ("eng", "deu"), ())
    assert "/usr/bin/tesseract, with eng, deu" in " ".join(
        lines_of("Scans", report_text(replace(REPORT, tesseract=there)))
    )
    assert max(map(len, text.splitlines())) <= 110


def test_a_machine_reads_the_same() -> None:
    fields = json.loads(report_json(REPORT))
    assert fields["machine"]["gpus"][0]["kind"] == "gpu"
    assert fields["machine"]["memory"]["available_bytes"] == 50 * GIB
    assert fields["machine"]["notes"][1] == {"probe": "nvml", "ok": True, "duration_s": 0.31, "sentence": "1 device"}
    assert fields["models"][0]["path"] == str(Path("/m/small.gguf"))
    assert fields["conclusion"] == REPORT.conclusion


def ailing(**changes: object) -> str:
    machine = replace(WORKSTATION, **changes)  # type: ignore[arg-type]
    return report_text(replace(REPORT, machine=machine, conclusion=conclude(machine)))


def test_limits_are_said() -> None:
    processor = replace(
        PROCESSOR, physical_cores=12, performance_cores=8, logical_cores=20, affinity_cores=10, quota_cores=1.5
    )
    text = ailing(processor=processor, memory=Memory(4 * GIB, 3 * GIB, 4 * GIB))
    assert lines_of("Processor", text)[1] == (
        "12 cores (8 performance, 4 efficiency), 20 threads, 10 allowed to this process, "
        "CPU time of 1.5 granted; models compute with 1 thread"
    )
    assert lines_of("Memory", text)[0] == "3.0 GiB free of 4.0 GiB (limited by a control group)"


def test_failed_probes_are_lines() -> None:
    note = ProbeNote("nvml", False, 8.0, "The nvml probe gave no answer within 8 s.")
    text = ailing(gpus=(), disks=(), bandwidth=None, notes=(note,))
    assert lines_of("Graphics", text) == ["unknown, see below"]
    assert lines_of("Disk", text) == ["unknown"]
    assert lines_of("Memory", text) == ["50.0 GiB free of 64.0 GiB"]
    assert lines_of("Probes", text) == ["✗ nvml        8.0 s  The nvml probe gave no answer within 8 s."]


def test_cards_that_the_engine_cannot_use() -> None:
    shared = replace(CARD, kind=DeviceKind.INTEGRATED, unified=True, backend="Vulkan0", bandwidth_bytes_s=None)
    nameless = replace(CARD, backend=None, total_bytes=0, free_bytes=0, bandwidth_bytes_s=None)
    text = ailing(gpus=(shared, nameless))
    assert lines_of("Graphics", text)[1::2] == [
        "22.0 GiB free of 24.0 GiB, shared with main memory; used as Vulkan0",
        "memory unknown; not used: the installed engine has no back-end for it",
    ]


def test_no_graphics_at_all() -> None:
    assert lines_of("Graphics", ailing(gpus=())) == ["none that can compute"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "about 32 billion parameters, at 4 bits, fit on the NVIDIA GeForce RTX 4090. Models of up to about 70"),
        ({}, "one of 8 billion would write about 6.4 to 12 tokens a second"),
        ({"gpus": ()}, "Models of up to about 70 billion parameters, at 4 bits, fit into main memory."),
        ({"gpus": (replace(CARD, backend=None),)}, "fit into main memory."),
        ({"gpus": (), "memory": Memory(8 * GIB, 3 * GIB, None)}, "up to about 1 billion parameters"),
        ({"gpus": (), "memory": Memory(8 * GIB, 3 * GIB, None)}, "one of 1 billion would write about 52 to 93"),
        ({"gpus": (), "memory": Memory(2 * GIB, 1 * GIB, None)}, "Only 1.0 GiB of memory are free"),
        ({"memory": Memory(2 * GIB, 1 * GIB, None)}, "fit on the NVIDIA GeForce RTX 4090."),
    ],
)
def test_the_conclusion(changes: dict[str, object], words: str) -> None:
    assert words in conclude(replace(WORKSTATION, **changes))  # type: ignore[arg-type]


def test_without_a_measurement_no_speed_is_promised() -> None:
    assert "tokens a second" not in conclude(replace(WORKSTATION, bandwidth=None))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return replace(resolve(tmp_path / "data"), built_in_models=tmp_path / "none")


def test_a_data_folder_that_is_not_there_stays_so(paths: Paths) -> None:
    report = examine(paths, WORKSTATION)
    assert not report.database.exists
    assert report.models == ()
    assert not paths.data.exists()
    text = report_text(report)
    assert lines_of("Database", text) == lines_of("Models", text) == ["none yet"]
    assert lines_of("Kept", text) == ["nothing of past conversations"]


def test_a_store_with_a_passphrase_is_not_looked_into(paths: Paths) -> None:
    vault = Vault(paths.database)
    changing.set_passphrase(vault, "correct horse battery")
    with closing(open_writer(paths.database, vault.page_key)):
        pass
    report = examine(paths, WORKSTATION)
    assert (report.database.lock, report.database.fault) == ("passphrase", "")
    assert "encrypted with a passphrase" in " ".join(lines_of("Database", report_text(report)))


def test_a_store_in_use_is_counted(paths: Paths) -> None:
    with closing(open_writer(paths.database)) as connection:
        outside = paths.data / "elsewhere.gguf"
        outside.write_bytes(b"not a model")
        connection.execute("INSERT INTO model_files (path, added_at) VALUES (?, 0)", (str(outside),))
        report = examine(paths, WORKSTATION)
    assert (report.database.schema, report.database.fault) == (SCHEMA_VERSION, "")
    assert report.database.size_bytes > 0
    (model,) = report.models
    assert model.path == outside
    assert model.fault


def test_a_store_of_the_future_is_told(paths: Paths) -> None:
    with closing(open_writer(paths.database)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 7}")
    report = examine(paths, WORKSTATION)
    assert f"schema {SCHEMA_VERSION + 7}" in report.database.fault
    assert report.database.fault in report_text(report)


def test_a_damaged_store_is_told(paths: Paths) -> None:
    paths.database.parent.mkdir(parents=True)
    paths.database.write_bytes(b"garbage" * 1000)
    assert "cannot be read" in examine(paths, WORKSTATION).database.fault


def test_the_installed_engine_is_known_without_loading_it() -> None:
    build = read_engine_build()
    assert build.package
    assert "CPU" in build.backends
    code = "import sys, app.doctor as d; d.read_engine_build(); sys.exit('llama_cpp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.native
def test_this_machine(paths: Paths) -> None:
    text = report_text(examine(paths))
    assert "✗" not in text
    assert "GB/s, measured on" in text


def test_sqlite_is_asked_read_only(paths: Paths) -> None:
    with closing(open_writer(paths.database)):
        pass
    before = paths.database.read_bytes()
    examine(paths, WORKSTATION)
    assert paths.database.read_bytes() == before
    with closing(driver.connect(paths.database)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
