"""What a probe child is asked and what it answers, and how both are put on the wire as JSON.

Everything read from a child is checked here before it is used: a child may be killed in mid-line or print nonsense.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from engine.fit.plan import KvType
from engine.hardware.profile import DeviceKind


@dataclass(frozen=True, slots=True)
class GgmlDevice:
    """A device as ggml reports it. On Linux and macOS the CPU's free memory is its total: do not plan with it."""

    name: str
    """ggml's name: ``CPU``, ``CUDA0``, ``Vulkan0``, ``MTL0``, ``RPC0``."""
    description: str
    kind: DeviceKind
    total_bytes: int
    free_bytes: int
    pci_id: str | None
    backend: str


@dataclass(frozen=True, slots=True)
class ComputeQuestion:
    """Which context to measure. ``model_path`` may be a hollow file: header and length are enough."""

    model_path: str
    n_ctx: int
    n_batch: int
    n_ubatch: int
    n_seq_max: int
    n_outputs_max: int
    kv_type: KvType
    n_gpu_layers: int
    device: str | None
    """ggml's name of the one device to use; ``None``: only the processor."""
    rpc_endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComputeAnswer:
    """What llama.cpp would reserve: (ggml buffer name, bytes) for each, and how often the graph changes device."""

    compute: tuple[tuple[str, int], ...]
    output_bytes: int
    kv_bytes: int
    """As llama.cpp counts it, to 0.01 MiB for each cache."""
    recurrent_bytes: int
    splits: int
    n_ctx: int


def encode_device(device: GgmlDevice) -> dict[str, object]:
    """A device as a JSON object."""
    return dataclasses.asdict(device)


def decode_device(raw: object) -> GgmlDevice:
    """Raises: ``ValueError`` for anything but a well-formed device."""
    table = _table(raw)
    pci_id = table.get("pci_id")
    return GgmlDevice(
        name=_text(table, "name"),
        description=_text(table, "description"),
        kind=DeviceKind(_text(table, "kind")),
        total_bytes=_count(table, "total_bytes"),
        free_bytes=_count(table, "free_bytes"),
        pci_id=None if pci_id is None else _text(table, "pci_id"),
        backend=_text(table, "backend"),
    )


def encode_question(question: ComputeQuestion) -> dict[str, object]:
    """A question as a JSON object."""
    return dataclasses.asdict(question)


def decode_question(raw: object) -> ComputeQuestion:
    """Raises: ``ValueError`` for anything but a well-formed question."""
    table = _table(raw)
    kv_types: dict[str, KvType] = {"f16": "f16", "q8_0": "q8_0", "q4_0": "q4_0"}
    kv_type = kv_types.get(_text(table, "kv_type"))
    if kv_type is None:
        raise ValueError("kv_type is unknown")
    endpoints = table.get("rpc_endpoints", [])
    if not isinstance(endpoints, list):
        raise ValueError("rpc_endpoints is not a list")
    return ComputeQuestion(
        model_path=_text(table, "model_path"),
        n_ctx=_count(table, "n_ctx"),
        n_batch=_count(table, "n_batch"),
        n_ubatch=_count(table, "n_ubatch"),
        n_seq_max=_count(table, "n_seq_max"),
        n_outputs_max=_count(table, "n_outputs_max"),
        kv_type=kv_type,
        n_gpu_layers=_count(table, "n_gpu_layers"),
        device=None if table.get("device") is None else _text(table, "device"),
        rpc_endpoints=tuple(str(endpoint) for endpoint in endpoints),
    )


def encode_answer(answer: ComputeAnswer) -> dict[str, object]:
    """An answer as a JSON object."""
    return dataclasses.asdict(answer)


def decode_answer(raw: object) -> ComputeAnswer:
    """Raises: ``ValueError`` for anything but a well-formed answer."""
    table = _table(raw)
    rows = table.get("compute")
    if not isinstance(rows, list):
        raise ValueError("compute is not a list")
    compute = []
    for row in rows:
        if not (isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], int)):
            raise ValueError("compute holds something other than name and bytes")
        compute.append((row[0], row[1]))
    return ComputeAnswer(
        compute=tuple(compute),
        output_bytes=_count(table, "output_bytes"),
        kv_bytes=_count(table, "kv_bytes"),
        recurrent_bytes=_count(table, "recurrent_bytes"),
        splits=_count(table, "splits"),
        n_ctx=_count(table, "n_ctx"),
    )


def _table(raw: object) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")
    return raw


def _text(table: Mapping[str, object], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or len(value) > 4096:
        raise ValueError(f"{key} is not a short text")
    return value


def _count(table: Mapping[str, object], key: str) -> int:
    value = table.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f"{key} is not a count")
    return value
