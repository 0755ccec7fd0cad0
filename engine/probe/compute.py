"""The no_alloc projection: what llama.cpp would reserve for a context, without the weights. Runs in the child only."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llama_cpp import llama_cpp as native

from engine.errors import ProbeFailed
from engine.llama import bindings, devices, parameters
from engine.llama.model import Model
from engine.llama.pooling import PoolingShape, find_pooling, pooling_context
from engine.probe.records import ComputeAnswer, ComputeQuestion

_COMPUTE = re.compile(r"sched_reserve:\s+(\S+) compute buffer size =\s+([\d.]+) MiB")
_KV = re.compile(r"llama_kv_cache\w*: size =\s+([\d.]+) MiB")
_RECURRENT = re.compile(r"RS buffer size =\s+([\d.]+) MiB")
_OUTPUT = re.compile(r"output buffer size =\s+([\d.]+) MiB")
_REPACKED = re.compile(r"load_tensors:\s+(?:CPU_(?!Mapped)\S+|AMX) model buffer size")
"""Buffers of the processor's own layouts (``CPU_REPACK``, ``AMX`` ...); named even when nothing is read."""
_SPLITS = re.compile(r"splits = (\d+)(?: / (\d+))?")
_COPIES = re.compile(r"sched copies = (\d+)")
_MIB = 1024 * 1024
_ACTIVATION_BYTES = 4
_LOG_ERROR_BYTES = _MIB // 100
"""The log rounds to 0.01 MiB; a projection adds that much so that it is never below the truth."""


def measure_compute(question: ComputeQuestion, lines: list[str]) -> ComputeAnswer:
    """Load header and context without weights and read the sizes from ``lines``, which the log is appended to.

    Raises: ``ProbeFailed`` with llama.cpp's last complaint, ``WorkerError`` for a card that is not there.
    """
    parameters.set_op_offload(question.op_offload_tokens)
    for endpoint in question.rpc_endpoints:
        bindings.add_rpc_server(endpoint)
    changed = question.n_expert_used
    layout = parameters.Layout(
        n_gpu_layers=question.n_gpu_layers,
        load_mode="read",
        cards=() if question.device is None else (question.device, *question.more_devices),
        layers_per_card=question.layers_per_card,
        experts_in_ram=question.experts_in_ram,
        expert_used_count=(question.architecture, changed) if changed is not None else None,
    )
    model_parameters = parameters.model_parameters(layout)
    model_parameters.no_alloc = True
    native.llama_backend_init()
    handle = native.llama_model_load_from_file(question.model_path.encode(), model_parameters)
    if not handle:
        raise ProbeFailed("model_refused", f"llama.cpp refused the model: {_last_complaint(lines)}")
    model = Model(handle)
    try:
        return _measure_context(model, question, lines)
    finally:
        model.close()


def _measure_context(model: Model, question: ComputeQuestion, lines: list[str]) -> ComputeAnswer:
    context_parameters, full_output_bytes = _context_parameters(model, question)
    context = native.llama_init_from_model(model.handle, context_parameters)
    if not context:
        raise ProbeFailed("context_refused", f"llama.cpp refused the context: {_last_complaint(lines)}")
    n_ctx = int(native.llama_n_ctx(context))
    sizes = parse_sizes(lines)
    native.llama_free(context)
    owners = devices.buffer_owners()
    projected = tuple((owners.get(name, name), size) for name, size in sizes.compute)
    if question.n_gpu_layers > int(native.llama_model_n_layer(model.handle)):
        row_bytes = int(native.llama_model_n_embd(model.handle)) * _ACTIVATION_BYTES
        projected = _where_norms_belong(projected, question, sizes.copies, row_bytes)
    return ComputeAnswer(
        compute=projected,
        output_bytes=max(sizes.output_bytes, full_output_bytes),
        kv_bytes=sizes.kv_bytes,
        recurrent_bytes=sizes.recurrent_bytes,
        splits=sizes.splits,
        n_ctx=n_ctx,
        repacks=any(_REPACKED.search(line) for line in lines),
    )


def _context_parameters(model: Model, question: ComputeQuestion) -> tuple[Any, int]:
    """As the worker will set them, and the bytes of its outputs where they grow with the first full batch."""
    pooling = find_pooling(model)
    if pooling is not None:
        shape = PoolingShape(question.n_ctx, question.n_ubatch, question.n_seq_max, question.kv_type, threads=1)
        made = pooling_context(model, pooling, shape)
        return made.parameters, made.output_bytes
    for_writing = parameters.context_parameters(
        n_ctx=question.n_ctx,
        n_batch=question.n_batch,
        n_ubatch=question.n_ubatch,
        n_seq_max=question.n_seq_max,
        n_outputs_max=question.n_outputs_max,
        kv_type=question.kv_type,
        threads=1,
        kv_unified=question.kv_unified,
    )
    return for_writing, 0


def _where_norms_belong(
    compute: Sequence[tuple[str, int]], question: ComputeQuestion, copies: int, row_bytes: int
) -> tuple[tuple[str, int], ...]:
    """Correct what the projection of several cards gets wrong when the whole model is on them.

    Where a card takes over at a layer, llama.cpp puts the layer's first norm on that card, so that one row of
    activations crosses. ``ggml_backend_sched_reserve_size`` forgets that choice before it splits the graph, unlike
    ``ggml_backend_sched_reserve``, which the worker ends up with; so rows and norms cross. In a pipeline every copy of
    the norms is kept: they are taken out. Otherwise the one row only shifts what lies where, and the card's peak can be
    missed by up to that row: it is lifted to the first card's where that is so near, because their layers are alike,
    and by the row where the card begins with the first layer whose experts are in main memory.
    Source: both functions in ggml-backend.cpp, ``llama_context::graph_get_cb``.
    """
    starts = dict(zip(question.more_devices, itertools.accumulate(question.layers_per_card), strict=False))
    n_layer = question.n_gpu_layers - 1
    crossing = question.n_ubatch * row_bytes
    first = dict(compute).get(question.device or "", 0)
    in_ram = frozenset(question.experts_in_ram)

    def corrected(name: str, size: int) -> int:
        start = starts.get(name, n_layer)
        if start >= n_layer:
            return size  # it takes over at no layer: the output alone has no such norm
        if copies > 1:
            return size - copies * crossing
        if start in in_ram and start - 1 not in in_ram:
            return size + crossing
        return first if size < first <= size + crossing else size

    return tuple((name, corrected(name, size)) for name, size in compute)


@dataclass(frozen=True, slots=True)
class LoggedSizes:
    """What the log said about one context."""

    compute: tuple[tuple[str, int], ...]
    output_bytes: int
    kv_bytes: int
    recurrent_bytes: int
    splits: int
    copies: int = 1
    """Of what crosses between devices, so that they can work on different batches at once."""


def parse_sizes(lines: list[str]) -> LoggedSizes:
    """Find the sizes in the log. Raises: ``ProbeFailed`` when there is no compute buffer."""
    compute: dict[str, int] = {}
    sums = {_OUTPUT: 0, _KV: 0, _RECURRENT: 0}
    splits, copies = 0, 1
    for line in lines:
        if match := _COMPUTE.search(line):
            compute[match[1]] = _bytes(match[2]) + _LOG_ERROR_BYTES
        elif match := _SPLITS.search(line):
            splits = int(match[2] or match[1])
        elif match := _COPIES.search(line):
            copies = int(match[1])
        for pattern in sums:
            if match := pattern.search(line):
                sums[pattern] += _bytes(match[1])
    if not compute:
        raise ProbeFailed("no_answer", "llama.cpp named no compute buffer.")
    return LoggedSizes(tuple(compute.items()), sums[_OUTPUT], sums[_KV], sums[_RECURRENT], splits, copies)


def _bytes(mebibytes: str) -> int:
    return round(float(mebibytes) * _MIB)


def _last_complaint(lines: list[str]) -> str:
    complaints = [line for line in lines if "error" in line.lower() or "fail" in line.lower()]
    return (complaints or lines or ["no reason given"])[-1].strip()[:300]
