"""llama.cpp's parameter structs as Gatehouse sets them, shared by the probe and the worker.

Both must build them here: a projection is only worth something when the worker loads exactly what was projected.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from llama_cpp import llama_cpp as native

from engine.errors import WorkerError
from engine.fit.plan import KvType, LoadMode
from engine.llama import bindings

_KV_TYPES: dict[KvType, int] = {"f16": 1, "q8_0": 8, "q4_0": 2}
"""Source: ``enum ggml_type`` in ggml.h."""

_LOAD_MODES: dict[LoadMode, bindings.LoadMode] = {"mmap": bindings.LoadMode.MMAP, "read": bindings.LoadMode.READ}


def model_parameters(*, n_gpu_layers: int, load_mode: LoadMode, devices: Sequence[str] = ()) -> Any:
    """``llama_model_params`` for exactly those cards, by ggml's names; none: the processor alone.

    Without the list llama.cpp takes every card it finds, also for a model planned for main memory, and the plan would
    be wrong. The struct keeps the list alive; keep the struct until the model has loaded.
    Raises: ``WorkerError`` when a card is not there.
    """
    parameters = native.llama_model_default_params()
    parameters.device_list = bindings.device_list([_find_device(name) for name in devices])
    parameters.devices = ctypes.cast(parameters.device_list, ctypes.c_void_p)
    parameters.n_gpu_layers = n_gpu_layers
    parameters.load_mode = _LOAD_MODES[load_mode]
    parameters.split_mode = 1  # LLAMA_SPLIT_MODE_LAYER
    return parameters


def _find_device(name: str) -> int:
    for pointer in bindings.device_pointers():
        if bindings.device_properties(pointer).name == name.encode():
            return pointer
    raise WorkerError("device_missing", f"llama.cpp knows no device {name}.", "Look at the report of the set-up.")


def context_parameters(
    *, n_ctx: int, n_batch: int, n_ubatch: int, n_seq_max: int, n_outputs_max: int, kv_type: KvType, threads: int
) -> Any:
    """``llama_context_params``: one cache shared by all sequences, windows only where the model has windows.

    ``n_outputs_max`` must be at least ``n_seq_max`` (llama.cpp asserts it). The library's default for it, one output
    for every token of a batch, would cost hundreds of MiB; its default ``swa_full`` would pay the full context in
    layers that look back a short window.
    """
    parameters = native.llama_context_default_params()
    parameters.n_ctx = n_ctx
    parameters.n_batch = n_batch
    parameters.n_ubatch = n_ubatch
    parameters.n_seq_max = n_seq_max
    parameters.n_outputs_max = n_outputs_max
    parameters.n_threads = threads
    parameters.n_threads_batch = threads
    parameters.type_k = _KV_TYPES[kv_type]
    parameters.type_v = _KV_TYPES[kv_type]
    parameters.kv_unified = True
    parameters.swa_full = False
    parameters.no_perf = False
    return parameters
