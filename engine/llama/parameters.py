"""llama.cpp's parameter structs as Gatehouse sets them, shared by the probe and the worker.

Both must build them here: a projection is only worth something when the worker loads exactly what was projected.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any, Final

from llama_cpp import llama_cpp as native

from engine.errors import WorkerError
from engine.fit.plan import KvType, LoadMode, Plan
from engine.hardware.profile import DeviceKind
from engine.llama import bindings

OP_OFFLOAD_VARIABLE: Final = "GGML_OP_OFFLOAD_MIN_BATCH"
_INT_OVERRIDE: Final = 0
"""Source: ``LLAMA_KV_OVERRIDE_TYPE_INT`` in llama.h."""

_KV_TYPES: dict[KvType, int] = {"f16": 1, "q8_0": 8, "q4_0": 2}
"""Source: ``enum ggml_type`` in ggml.h."""

_LOAD_MODES: dict[LoadMode, bindings.LoadMode] = {"mmap": bindings.LoadMode.MMAP, "read": bindings.LoadMode.READ}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the weights go: what a plan, a projection and a test of both say about it."""

    n_gpu_layers: int = 0
    load_mode: LoadMode = "mmap"
    cards: tuple[str, ...] = ()
    """By ggml's names; none: the processor alone."""
    layers_per_card: tuple[int, ...] = ()
    """In the order of ``cards``, the output layer counted; empty with one card or none."""
    experts_in_ram: tuple[int, ...] = ()
    """Layers whose routed experts stay in main memory."""
    expert_used_count: tuple[str, int] | None = None
    """The model's architecture and how many experts a token gets instead of the model's own number."""


def plan_layout(plan: Plan, architecture: str) -> Layout:
    """The layout of a plan. ``architecture`` is what the file names; used only with a number of experts per token."""
    return Layout(
        n_gpu_layers=plan.n_gpu_layers,
        load_mode=plan.load_mode,
        cards=tuple(device.name for device in plan.devices if device.kind is not DeviceKind.CPU),
        layers_per_card=plan.layers_per_card,
        experts_in_ram=plan.experts_in_ram,
        expert_used_count=(architecture, plan.n_expert_used) if plan.n_expert_used is not None else None,
    )


def model_parameters(layout: Layout) -> Any:
    """``llama_model_params`` for exactly that layout.

    Without a list of cards llama.cpp takes every card it finds, also for a model planned for main memory, and the plan
    would be wrong. The struct keeps all lists alive; keep the struct until the model has loaded.
    Raises: ``WorkerError`` when a card is not there, or the layers do not belong to the cards.
    """
    parameters = native.llama_model_default_params()
    parameters.device_list = bindings.device_list([_find_device(name) for name in layout.cards])
    parameters.devices = ctypes.cast(parameters.device_list, ctypes.c_void_p)
    parameters.n_gpu_layers = layout.n_gpu_layers
    parameters.load_mode = _LOAD_MODES[layout.load_mode]
    parameters.split_mode = 1  # LLAMA_SPLIT_MODE_LAYER
    if layout.layers_per_card:
        parameters.split_list = _tensor_split(layout)
        parameters.tensor_split = ctypes.cast(parameters.split_list, ctypes.POINTER(ctypes.c_float))
    if layout.experts_in_ram and layout.cards:
        main_memory = bindings.cpu_buffer_type()
        pairs = [(expert_pattern(layer), main_memory) for layer in layout.experts_in_ram]
        parameters.override_list = bindings.overrides(pairs)
        parameters.tensor_buft_overrides = ctypes.cast(parameters.override_list, ctypes.c_void_p)
    if layout.expert_used_count is not None:
        parameters.metadata_list = _expert_used_count(*layout.expert_used_count)
        parameters.kv_overrides = ctypes.cast(parameters.metadata_list, ctypes.POINTER(native.llama_model_kv_override))
    return parameters


def expert_pattern(layer: int) -> str:
    """The regular expression for the routed experts of one layer, their biases included; shared experts stay.

    Source: ``LLM_FFN_EXPS_REGEX`` in llama.cpp's common.h.
    """
    return rf"^blk\.{layer}\.ffn_(up|down|gate_up|gate)_(ch|)exps"


def set_op_offload(n_tokens: int | None) -> None:
    """Say from how many tokens on weights in main memory are copied to a card to be multiplied there.

    ggml reads it once, when it looks for devices: call this before anything else touches the library.
    Source: ``GGML_OP_OFFLOAD_MIN_BATCH`` in ggml-cuda.cu and ggml-vulkan.cpp.
    """
    if n_tokens is not None:
        os.environ[OP_OFFLOAD_VARIABLE] = str(n_tokens)


def _tensor_split(layout: Layout) -> Any:
    """llama.cpp deals out layers by shares; whole numbers that sum to the layers on cards are met exactly."""
    if len(layout.layers_per_card) != len(layout.cards) or sum(layout.layers_per_card) != layout.n_gpu_layers:
        sentence = (
            f"The plan puts {layout.layers_per_card} layers on {len(layout.cards)} cards, not {layout.n_gpu_layers}."
        )
        raise WorkerError("bad_plan", sentence)
    return (ctypes.c_float * int(native.llama_max_devices()))(*layout.layers_per_card)


def _expert_used_count(architecture: str, count: int) -> Any:
    entries: Any = (native.llama_model_kv_override * 2)()
    entries[0].tag = _INT_OVERRIDE
    entries[0].key = f"{architecture}.expert_used_count".encode()
    entries[0].value.val_i64 = count
    return entries


def _find_device(name: str) -> int:
    for pointer in bindings.device_pointers():
        if bindings.device_properties(pointer).name == name.encode():
            return pointer
    raise WorkerError("device_missing", f"llama.cpp knows no device {name}.", "Look at the report of the set-up.")


def context_parameters(
    *,
    n_ctx: int,
    n_batch: int,
    n_ubatch: int,
    n_seq_max: int,
    n_outputs_max: int,
    kv_type: KvType,
    threads: int,
    kv_unified: bool = True,
) -> Any:
    """``llama_context_params``: windows only where the model has windows.

    One cache shared by all sequences, or an equal part for each; see ``Plan.kv_unified``.

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
    parameters.kv_unified = kv_unified
    parameters.swa_full = False
    parameters.no_perf = False
    return parameters
