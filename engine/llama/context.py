"""A decoding context: one batch that is filled in place, its logits without copies, and the memory of sequences.

Owned by one thread, the engine's; only :meth:`Context.interrupt` may be called from another. Who gets which rows is
the scheduler's decision.
"""

from __future__ import annotations

import ctypes
from enum import Enum, IntEnum, auto
from typing import Any, Final

import numpy as np
from llama_cpp import llama_cpp as native
from numpy.typing import NDArray

from engine.errors import WorkerError
from engine.fit.plan import Plan
from engine.hardware.profile import DeviceKind
from engine.llama.bindings import bind
from engine.llama.interruption import StopWord
from engine.llama.model import Model
from engine.llama.parameters import context_parameters

Logits = NDArray[np.float32]
State = NDArray[np.uint8]
"""A sequence's memory, or a part of it, as llama.cpp writes it; only for the context it was taken from."""

_WARM_UP_TOKENS: Final = 2
_PARTIAL_ONLY: Final = 1
"""Source: ``LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY`` in llama.h."""


_CPU_TILE_ROWS: Final = 64
"""Source: ``GGML_FA_TILE_Q`` in ggml-cpu/common.h."""


class DecodeResult(IntEnum):
    """What ``llama_decode`` answers; anything below -1 is fatal. Source: llama.h."""

    OK = 0
    NO_CELLS = 1
    INTERRUPTED = 2
    INVALID = -1


class MemoryKind(Enum):
    """How a sequence's memory may be cut back and shared."""

    CELLS = auto()
    """A cell for each token: cut anywhere, share any prefix."""
    WINDOWED = auto()
    """Some layers look back a short way and overwrite what lies further back; the others are cells."""
    STATE = auto()
    """Some or all layers keep one running state, which is that of the last token and of no other."""
    WHOLE = auto()
    """Neither cut nor shared, only gone on with."""


class Context:
    """llama.cpp's context with a batch of ``n_batch`` rows."""

    def __init__(self, model: Model, plan: Plan) -> None:
        """Raises: ``WorkerError`` when llama.cpp cannot make the context."""
        self._views: dict[int, Logits] = {}
        self._stop = StopWord()
        self.kv_unified = plan.kv_unified or model.recurrent or model.window_tokens > 0
        """All sequences have one pool of cells; otherwise each has its own part. Only cells come in parts."""
        parameters = context_parameters(
            n_ctx=plan.n_ctx,
            n_batch=plan.n_batch,
            n_ubatch=plan.n_ubatch,
            n_seq_max=plan.n_seq_max,
            n_outputs_max=plan.n_outputs_max,
            kv_type=plan.kv_type,
            threads=plan.threads,
            kv_unified=self.kv_unified,
        )
        parameters.no_perf = True
        self._stop.attach(parameters)
        self._parameters = parameters
        self._model_handle = model.handle
        self._refusal = f"llama.cpp could not make a context of {plan.n_ctx:,} tokens for {plan.model_name}."
        self._open()
        if not self._memory:
            self.close()
            raise WorkerError("not_generative", f"{plan.model_name} is not a model that writes text.")
        self._n_vocab = model.vocabulary.n_tokens
        self._threads = self.threads = plan.threads
        """As planned."""
        self._windowed = model.window_tokens > 0
        self.memory_kind = (
            MemoryKind.STATE if model.recurrent else MemoryKind.WINDOWED if self._windowed else MemoryKind.CELLS
        )
        cards = [device.name for device in plan.devices if device.kind is not DeviceKind.CPU]
        self.device = "+".join(cards) if cards and plan.n_gpu_layers else "CPU"
        """Where the model computes, by ggml's names."""
        self.tile_rows = 0 if cards and plan.n_gpu_layers else _CPU_TILE_ROWS
        """From so many rows on, attention works on tiles of them; 0 where it skips what a row does not see."""
        self.n_ctx = int(native.llama_n_ctx(self.handle))
        self.n_ctx_sequence = int(native.llama_n_ctx_seq(self.handle))
        """So long one sequence may become."""
        self.n_batch = int(native.llama_n_batch(self.handle))
        self.n_ubatch = int(native.llama_n_ubatch(self.handle))
        self.n_seq_max = int(native.llama_n_seq_max(self.handle))
        self.n_outputs_max = max(1, min(plan.n_outputs_max or self.n_batch, self.n_batch))
        self._get_logits = bind("llama_get_logits_ith", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
        self._make_batch()

    def _open(self) -> None:
        self.handle: Any = native.llama_init_from_model(self._model_handle, self._parameters)
        if not self.handle:
            raise WorkerError("context_failed", self._refusal, "A smaller context needs less memory.")
        self._memory: Any = native.llama_get_memory(self.handle)

    def reopen(self, evaluation_callback: Any) -> None:
        """Begin anew with an evaluation callback, or with ``None`` without one. Every sequence is forgotten.

        llama.cpp takes the callback only when a context is made. The caller keeps it alive.
        Raises: ``WorkerError`` when llama.cpp cannot make the context again.
        """
        self.close()
        kind = native.ggml_backend_sched_eval_callback
        self._parameters.cb_eval = evaluation_callback if evaluation_callback is not None else kind()
        self._open()

    def _make_batch(self) -> None:
        """Lay the batch over numpy arrays, so that filling a row is four stores and a slice is four copies."""
        n = self.n_batch
        self.tokens = np.zeros(n, np.int32)
        self.positions = np.zeros(n, np.int32)
        self.sequences = np.zeros(n, np.int32)
        self.outputs = np.zeros(n, np.int8)
        self._counts = np.ones(n, np.int32)
        addresses = self.sequences.ctypes.data + np.arange(n, dtype=np.uintp) * self.sequences.itemsize
        self._addresses = np.append(addresses, np.uintp(0))
        batch: Any = native.llama_batch()
        batch.token = _pointer(self.tokens, ctypes.c_int32)
        batch.pos = _pointer(self.positions, ctypes.c_int32)
        batch.n_seq_id = _pointer(self._counts, ctypes.c_int32)
        batch.seq_id = ctypes.cast(self._addresses.ctypes.data, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
        batch.logits = _pointer(self.outputs, ctypes.c_int8)
        self._batch = batch

    def decode(self, n_rows: int) -> int:
        """Run the first ``n_rows`` rows of the batch; a ``DecodeResult`` or a fatal code below -1. Releases the GIL."""
        self._batch.n_tokens = n_rows
        return int(native.llama_decode(self.handle, self._batch))

    def logits(self, row: int) -> Logits:
        """The logits of a row that asked for them: a view of (n_vocab,) float32, valid until the next decode.

        Writing into it is allowed; nobody else reads it.
        """
        address: int | None = self._get_logits(self.handle, row)
        if address is None:
            raise WorkerError("no_logits", f"llama.cpp holds no logits for row {row}.")
        view = self._views.get(address)
        if view is None:
            if len(self._views) > 4 * self.n_outputs_max:
                self._views.clear()  # the output buffer has moved; the old addresses are gone
            row_type: Any = ctypes.c_float * self._n_vocab
            view = np.frombuffer(row_type.from_address(address), np.float32)
            self._views[address] = view
        return view

    def set_threads(self, count: int) -> None:
        """How many threads compute the next decodes."""
        if count != self._threads:
            self._threads = count
            native.llama_set_n_threads(self.handle, count, count)

    def interrupt(self) -> None:
        """Make a running decode on the CPU return ``INTERRUPTED`` at its next operation. Any thread."""
        self._stop.say()

    def allow(self) -> None:
        """Take back :meth:`interrupt`; before each decode."""
        self._stop.take_back()

    def warm_up(self, token: int) -> None:
        """Decode once, so that the first request does not pay for paging and for building the graph."""
        self.tokens[:_WARM_UP_TOKENS] = token
        self.positions[:_WARM_UP_TOKENS] = range(_WARM_UP_TOKENS)
        self.sequences[:_WARM_UP_TOKENS] = 0
        self.outputs[:_WARM_UP_TOKENS] = (0, 1)
        native.llama_set_warmup(self.handle, True)  # every expert is touched, not only the chosen ones
        result = self.decode(_WARM_UP_TOKENS)
        native.llama_set_warmup(self.handle, False)
        if self.memory_kind is not MemoryKind.STATE and not self.truncate(0, 1):
            self.memory_kind = MemoryKind.WHOLE  # an architecture whose cache says itself that it cannot be cut
        native.llama_memory_clear(self._memory, True)
        if result != DecodeResult.OK:
            raise WorkerError("warm_up_failed", f"llama.cpp failed at its first step, with code {result}.")

    def share(self, source: int, target: int, n_tokens: int, state: State | None = None) -> bool:
        """Let ``target``, empty so far, begin with the first ``n_tokens`` of ``source``; their cells are the same where
        the cache is unified, and copies otherwise.

        ``state``: the part that cannot be cut, from :meth:`save_state` when ``source`` was so long; without it that of
        ``source`` as it is. A window is copied, never shared: llama.cpp does not overwrite a cell with two holders, so
        windows that nobody looks at any longer would fill their small cache. ``False``: there was no room for it.
        """
        if not self.kv_unified:
            # llama.cpp's own copy takes all of a part, and only when it next computes: too late if the source changes.
            whole = self.save_state(source, whole=True)
            return self.load_state(target, whole, whole=True) and self.truncate(target, n_tokens)
        native.llama_memory_seq_cp(self._memory, source, target, 0, n_tokens)
        if state is None and self._windowed:
            state = self.save_state(target)
        return state is None or self.load_state(target, state)

    def state_bytes(self, sequence: int) -> int:
        """The size of all of a sequence's memory, as :meth:`save_state` would give it."""
        return int(native.llama_state_seq_get_size_ext(self.handle, sequence, 0))

    def save_state(self, sequence: int, *, whole: bool = False) -> State:
        """The part of a sequence's memory that cannot be cut back, or all of it. Waits for the device.

        Its size is that of the window or of the recurrent state; a few MB up to a hundred.
        """
        flags = 0 if whole else _PARTIAL_ONLY
        size = int(native.llama_state_seq_get_size_ext(self.handle, sequence, flags))
        state = np.empty(size, np.uint8)
        written = native.llama_state_seq_get_data_ext(self.handle, _bytes(state), size, sequence, flags)
        if written != size:
            raise WorkerError("state_failed", f"llama.cpp wrote {written} of {size} bytes of a sequence's memory.")
        return state

    def load_state(self, sequence: int, state: State, *, whole: bool = False) -> bool:
        """Put back what :meth:`save_state` gave. ``False``: there was no room, and that part is empty now."""
        flags = 0 if whole else _PARTIAL_ONLY
        read = native.llama_state_seq_set_data_ext(self.handle, _bytes(state), state.size, sequence, flags)
        return bool(read == state.size)

    def truncate(self, sequence: int, n_tokens: int) -> bool:
        """Forget everything from position ``n_tokens`` on; ``False`` when the memory cannot be cut there."""
        return bool(native.llama_memory_seq_rm(self._memory, sequence, n_tokens, -1))

    def first_position(self, sequence: int) -> int:
        """The earliest position still in memory (later than 0 with sliding windows); -1 when empty."""
        return int(native.llama_memory_seq_pos_min(self._memory, sequence))

    def last_position(self, sequence: int) -> int:
        """The latest position in memory; -1 when empty."""
        return int(native.llama_memory_seq_pos_max(self._memory, sequence))

    def close(self) -> None:
        """Free the context. A second call does nothing."""
        if self.handle:
            self._views.clear()
            native.llama_free(self.handle)
            self.handle = None


def _pointer(array: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))


def _bytes(state: State) -> Any:
    return ctypes.cast(state.ctypes.data, ctypes.POINTER(ctypes.c_uint8))
