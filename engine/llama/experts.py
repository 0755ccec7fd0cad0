"""Counts which experts every layer's router picks, through llama.cpp's evaluation callback.

llama.cpp asks the callback about each operation of a graph and hands over the result of those that are wanted: here the
routers' choices, ``ffn_moe_topk-<layer>``. That costs a call into Python for every operation and a wait for the device
in every layer, so a context has no callback until somebody watches. What the counts mean is in ``engine.fit.routed``.

In the last layer of most architectures llama.cpp computes only the rows whose logits are wanted: one of a prompt.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llama_cpp import llama_cpp as native
from numpy.typing import NDArray

from engine.errors import WorkerError
from engine.fit.routed import LayerRouting, RoutedExperts
from engine.llama.bindings import bind

_ROUTED: Final = b"ffn_moe_topk-"
_ID_BYTES: Final = 4
_MAX_SPAN_BYTES: Final = 64 << 20


class _TensorHead(ctypes.Structure):
    """The beginning of ``struct ggml_tensor`` in ggml.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("elements", ctypes.c_int64 * 4),
        ("strides", ctypes.c_size_t * 4),
    )


class ExpertCounter:
    """The counts of one context. Its callback runs on the thread that decodes; read and reset it on that thread."""

    def __init__(self, *, n_experts: int, n_used: int) -> None:
        self._n_experts = n_experts
        self._n_used = n_used
        self._counts: dict[int, NDArray[np.int64]] = {}
        self._tokens: dict[int, int] = {}
        self._name: Callable[..., bytes] = bind("ggml_get_name", ctypes.c_char_p, ctypes.c_void_p)
        self._read = bind(
            "ggml_backend_tensor_get", None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t
        )
        self.callback: Any = native.ggml_backend_sched_eval_callback(self._on_tensor)
        """For ``llama_context_params.cb_eval``. Keep this object as long as the context."""

    def counted(self, *, watching: bool) -> RoutedExperts:
        """What was counted since the last :meth:`reset`."""
        layers = tuple(
            LayerRouting(layer, tuple(int(count) for count in self._counts[layer])) for layer in sorted(self._counts)
        )
        tokens = max(self._tokens.values(), default=0)
        return RoutedExperts(watching, self._n_experts, self._n_used, tokens, layers)

    def reset(self) -> None:
        """Begin to count anew."""
        self._counts.clear()
        self._tokens.clear()

    def _on_tensor(self, tensor: int, asked: bool, _user_data: object) -> bool:
        """Asked: whether the tensor's result is wanted. Told: here it is; the answer is whether to go on."""
        if not self._name(tensor).startswith(_ROUTED):
            return not asked
        if not asked:
            self._count(tensor)
        return True

    def _count(self, tensor: int) -> None:
        head = _TensorHead.from_address(tensor)
        n_used, n_tokens = head.elements[0], head.elements[1]
        row_bytes = head.strides[1]
        span_bytes = row_bytes * (n_tokens - 1) + n_used * _ID_BYTES
        if n_tokens < 1 or n_used < 1 or span_bytes > _MAX_SPAN_BYTES:
            return
        # The choices are the first columns of all experts in order: rows lie further apart than they are long.
        room = np.zeros((n_tokens, row_bytes // _ID_BYTES), np.int32)
        self._read(tensor, room.ctypes.data, 0, span_bytes)
        picked = room[:, :n_used].ravel()
        if picked.min() < 0 or picked.max() >= self._n_experts:
            return
        layer = int(self._name(tensor)[len(_ROUTED) :])
        counts = np.bincount(picked, minlength=self._n_experts)
        self._counts[layer] = self._counts[layer] + counts if layer in self._counts else counts
        self._tokens[layer] = self._tokens.get(layer, 0) + n_tokens


def counter_for(architecture: str | None, metadata: Callable[[str], str | None], n_used: int | None) -> ExpertCounter:
    """A counter for the model with that metadata. ``n_used``: experts per token when not the model's own number.

    Raises: ``WorkerError`` when the model has no experts.
    """
    n_experts = _number(metadata(f"{architecture}.expert_count"))
    own = _number(metadata(f"{architecture}.expert_used_count"))
    if not n_experts:
        raise WorkerError("no_experts", "This model is no mixture of experts: it has no routers to watch.")
    return ExpertCounter(n_experts=n_experts, n_used=n_used or own)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
