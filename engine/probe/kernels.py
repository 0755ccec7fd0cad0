"""How fast one core multiplies with weights of each type, by llama.cpp's own kernels. Runs in the child only.

Decoding on the processor is bound by a type's kernel as often as by memory, and kernels differ several times over: from
type to type, from processor to processor, and by whether the build lays weights out anew for it. What is measured is
one core's own processor time, so that other programs spoil it little. What several cores do together, and where memory
becomes the bound, is ``engine.fit.rates``' arithmetic.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from engine.errors import WorkerError
from engine.gguf.quants import TENSOR_TYPES_BY_NAME, TensorType
from engine.hardware.profile import Kernel
from engine.llama import bindings
from engine.llama.bindings import bind
from engine.probe.records import KernelsAnswer, KernelsQuestion

_POINTER, _SIZE, _COUNT, _KIND = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, ctypes.c_int
_F32: Final = 0
_F16: Final = 1
_WIDE: Final = 4_096
_NARROW: Final = 512
"""Elements of a row: of large models, and of small ones, where the start of each row counts."""
_MATRIX_ROWS: Final = 512
_COLUMNS: Final = 64
"""Tokens of the batch that arithmetic is measured with."""
_WIDE_BYTES: Final = 16 << 20
"""More than a core's own caches hold; what memory allows all cores together is measured apart."""
_NARROW_BYTES: Final = 6 << 20
_ROUNDS: Final = 3
_COARSE_CLOCK_S: Final = 1e-3
_HEADS: Final = 8
_HEAD_WIDTH: Final = 64
_ATTENDED: Final = 512


class _InitParameters(ctypes.Structure):
    """``struct ggml_init_params``."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


@dataclass(frozen=True, slots=True)
class _Ggml:
    """The functions used, and the processor."""

    new_2d: Callable[..., int]
    new_3d: Callable[..., int]
    multiply: Callable[..., int]
    attend: Callable[..., int]
    new_graph: Callable[..., int]
    expand: Callable[..., None]
    allocate: Callable[..., int | None]
    set_bytes: Callable[..., None]
    compute: Callable[..., int]
    supports: Callable[..., bool]
    set_threads: Callable[..., None]
    backend: int
    device: int


def measure_kernels(question: KernelsQuestion) -> KernelsAnswer:
    """Time every type that was asked for, and attention.

    Raises: ``WorkerError`` when the build lacks a function.
    """
    ggml = _bind()
    buffer_types = [*_own_layouts(ggml.device), bindings.cpu_buffer_type()]
    ggml.set_threads(ggml.backend, 1)
    kernels = []
    for name in question.types:
        kind = TENSOR_TYPES_BY_NAME.get(name)
        if kind is not None:
            kernels.append(_kernel(ggml, kind, buffer_types))
    return KernelsAnswer(tuple(kernels), _attention_flop_s(ggml))


def _bind() -> _Ggml:
    device = next(one for one in bindings.device_pointers() if bindings.device_backend_name(one) == "CPU")
    f32 = ctypes.c_float
    return _Ggml(
        new_2d=bind("ggml_new_tensor_2d", _POINTER, _POINTER, _KIND, _COUNT, _COUNT),
        new_3d=bind("ggml_new_tensor_3d", _POINTER, _POINTER, _KIND, _COUNT, _COUNT, _COUNT),
        multiply=bind("ggml_mul_mat", _POINTER, _POINTER, _POINTER, _POINTER),
        attend=bind("ggml_flash_attn_ext", _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, f32, f32, f32),
        new_graph=bind("ggml_new_graph", _POINTER, _POINTER),
        expand=bind("ggml_build_forward_expand", None, _POINTER, _POINTER),
        allocate=bind("ggml_backend_alloc_ctx_tensors_from_buft", _POINTER, _POINTER, _POINTER),
        set_bytes=bind("ggml_backend_tensor_set", None, _POINTER, ctypes.c_char_p, _SIZE, _SIZE),
        compute=bind("ggml_backend_graph_compute", _KIND, _POINTER, _POINTER),
        supports=bind("ggml_backend_dev_supports_op", ctypes.c_bool, _POINTER, _POINTER),
        set_threads=bind("ggml_backend_cpu_set_n_threads", None, _POINTER, _KIND),
        backend=bind("ggml_backend_cpu_init", _POINTER)(),
        device=device,
    )


def _own_layouts(device: int) -> list[int]:
    """Buffer types in which the processor lays weights out anew. Source: ``make_cpu_buft_list`` in llama-model.cpp."""
    registry = bind("ggml_backend_dev_backend_reg", _POINTER, _POINTER)(device)
    lookup = bind("ggml_backend_reg_get_proc_address", _POINTER, _POINTER, ctypes.c_char_p)
    address = lookup(registry, b"ggml_backend_dev_get_extra_bufts")
    if not address:
        return []
    found = ctypes.CFUNCTYPE(ctypes.POINTER(_POINTER), _POINTER)(address)(device)
    types: list[int] = []
    while found and (pointer := found[len(types)]):
        types.append(pointer)
    return types


@contextmanager
def _context(nodes: int) -> Iterator[int]:
    """Room for descriptions of tensors, without their data."""
    init, free = bind("ggml_init", _POINTER, _InitParameters), bind("ggml_free", None, _POINTER)
    context = init(_InitParameters((1 << 20) + nodes * 1024, None, True))
    if not context:
        raise WorkerError("out_of_memory", "ggml gave no context.")
    try:
        yield context
    finally:
        free(context)


@contextmanager
def _allocated(ggml: _Ggml, context: int, buffer_type: int) -> Iterator[None]:
    buffer = ggml.allocate(context, buffer_type)
    if not buffer:
        raise WorkerError("out_of_memory", "There is no memory to measure in.")
    try:
        yield
    finally:
        bind("ggml_backend_buffer_free", None, _POINTER)(buffer)


def _kernel(ggml: _Ggml, kind: TensorType, buffer_types: Sequence[int]) -> Kernel:
    chosen = next((one for one in buffer_types[:-1] if _takes(ggml, kind, one)), buffer_types[-1])
    wide_s, wide_bytes, _ = _decode(ggml, kind, chosen, _WIDE, _WIDE_BYTES)
    read_bytes_s = wide_bytes / wide_s
    narrow_s, narrow_bytes, rows = _decode(ggml, kind, chosen, _NARROW, _NARROW_BYTES)
    row_s = max(0.0, narrow_s - narrow_bytes / read_bytes_s) / rows
    return Kernel(kind.name, read_bytes_s, row_s, _batch_flop_s(ggml, kind, chosen))


def _takes(ggml: _Ggml, kind: TensorType, buffer_type: int) -> bool:
    """Whether the build has a layout of its own for that type."""
    with _context(8) as weights, _context(8) as rest:
        matrix = ggml.new_2d(weights, kind.id, _WIDE, _MATRIX_ROWS)
        with _allocated(ggml, weights, buffer_type):
            return ggml.supports(ggml.device, ggml.multiply(rest, matrix, ggml.new_2d(rest, _F32, _WIDE, 1)))


def _decode(ggml: _Ggml, kind: TensorType, buffer_type: int, width: int, total_bytes: int) -> tuple[float, int, int]:
    """(seconds, bytes, rows) of one vector times matrices that no core keeps."""
    matrix_bytes = kind.row_bytes(width) * _MATRIX_ROWS
    count = max(1, total_bytes // matrix_bytes)
    seconds = _multiplied_s(ggml, kind, buffer_type, (width, count, 1))
    return seconds, matrix_bytes * count, _MATRIX_ROWS * count


def _batch_flop_s(ggml: _Ggml, kind: TensorType, buffer_type: int) -> float:
    count = 2
    seconds = _multiplied_s(ggml, kind, buffer_type, (_WIDE, count, _COLUMNS))
    return 2.0 * _WIDE * _MATRIX_ROWS * count * _COLUMNS / seconds


def _multiplied_s(ggml: _Ggml, kind: TensorType, buffer_type: int, shape: tuple[int, int, int]) -> float:
    """``shape``: width of a row, matrices, tokens. Weights of zeros: no kernel looks at what it multiplies."""
    width, count, tokens = shape
    with ExitStack() as kept:
        weights, rest = kept.enter_context(_context(count)), kept.enter_context(_context(4 * count))
        matrices = [ggml.new_2d(weights, kind.id, width, _MATRIX_ROWS) for _ in range(count)]
        kept.enter_context(_allocated(ggml, weights, buffer_type))
        zeros = bytes(kind.row_bytes(width) * _MATRIX_ROWS)
        for matrix in matrices:
            ggml.set_bytes(matrix, zeros, 0, len(zeros))
        rows = ggml.new_2d(rest, _F32, width, tokens)
        products = [ggml.multiply(rest, matrix, rows) for matrix in matrices]
        kept.enter_context(_allocated(ggml, rest, bindings.cpu_buffer_type()))
        ggml.set_bytes(rows, bytes(4 * width * tokens), 0, 4 * width * tokens)
        return _quickest(ggml, rest, products)


def _attention_flop_s(ggml: _Ggml) -> float:
    with ExitStack() as kept:
        context = kept.enter_context(_context(16))
        queries = ggml.new_3d(context, _F32, _HEAD_WIDTH, _ATTENDED, _HEADS)
        keys, values = (ggml.new_3d(context, _F16, _HEAD_WIDTH, _ATTENDED, _HEADS) for _ in range(2))
        mask = ggml.new_2d(context, _F16, _ATTENDED, _ATTENDED)
        attended = ggml.attend(context, queries, keys, values, mask, _HEAD_WIDTH**-0.5, 0.0, 0.0)
        kept.enter_context(_allocated(ggml, context, bindings.cpu_buffer_type()))
        elements = _HEAD_WIDTH * _ATTENDED * _HEADS
        for tensor, size in ((queries, 4 * elements), (keys, 2 * elements), (values, 2 * elements)):
            ggml.set_bytes(tensor, bytes(size), 0, size)
        ggml.set_bytes(mask, bytes(2 * _ATTENDED**2), 0, 2 * _ATTENDED**2)
        return 4.0 * elements * _ATTENDED / _quickest(ggml, context, [attended])


def _quickest(ggml: _Ggml, context: int, results: Sequence[int]) -> float:
    """The quickest of some rounds, in this thread's own time where the system counts it finely."""
    graph = ggml.new_graph(context)
    for result in results:
        ggml.expand(graph, result)
    fine = time.get_clock_info("thread_time").resolution <= _COARSE_CLOCK_S
    clock = time.thread_time if fine else time.perf_counter
    ggml.compute(ggml.backend, graph)
    quickest = float("inf")
    for _ in range(_ROUNDS):
        began = clock()
        ggml.compute(ggml.backend, graph)
        quickest = min(quickest, clock() - began)
    return max(quickest, 1e-9)
