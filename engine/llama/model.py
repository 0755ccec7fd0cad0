"""A model's weights in memory: loading by plan, with progress, and what its metadata says about serving it.

Decoding belongs to ``context.py``, text to ``tokens.py``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

from llama_cpp import llama_cpp as native

from engine.errors import WorkerError
from engine.fit.plan import Plan
from engine.llama.parameters import model_parameters, plan_layout
from engine.llama.tokens import Vocabulary

ProgressSink = Callable[[float], bool]
"""Takes the loaded share, 0 to 1; returns whether to go on. Called often, on the loading thread."""

_MAX_METADATA_BYTES: Final = 4 << 20


class LoadCancelled(Exception):
    """The sink asked to stop loading."""


class Model:
    """A loaded model. Immutable after loading; :meth:`close` after every context is closed."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.vocabulary = Vocabulary(handle)
        self.n_ctx_train = int(native.llama_model_n_ctx_train(handle))
        self.n_parameters = int(native.llama_model_n_params(handle))
        self.size_bytes = int(native.llama_model_size(handle))
        self.window_tokens = int(native.llama_model_n_swa(handle))
        """How far sliding-window layers look back; 0 without such layers."""
        self.recurrent = bool(native.llama_model_is_recurrent(handle) or native.llama_model_is_hybrid(handle))
        """Part of its memory is a state that cannot be cut back to an earlier token."""
        self.has_decoder = bool(native.llama_model_has_decoder(handle))
        self.has_encoder = bool(native.llama_model_has_encoder(handle))

    @classmethod
    def load(cls, plan: Plan, progress: ProgressSink) -> Model:
        """Read the weights. Blocks for as long as that takes.

        Raises: ``WorkerError`` when llama.cpp refuses, ``ModelFileError``, ``LoadCancelled`` when the sink says so.
        """
        cancelled = False

        def receive(ratio: float, _user_data: object) -> bool:
            nonlocal cancelled
            cancelled = cancelled or not progress(ratio)
            return not cancelled

        parameters = model_parameters(plan_layout(plan, _architecture(plan)))
        callback = native.llama_progress_callback(receive)
        parameters.progress_callback = callback
        handle = native.llama_model_load_from_file(str(plan.model_path).encode(), parameters)
        if handle:
            return cls(handle)
        if cancelled:
            raise LoadCancelled
        raise WorkerError(
            "load_failed",
            f"llama.cpp could not load {plan.model_name}.",
            "The details show its own words.",
        )

    def metadata(self, key: str) -> str | None:
        """A value of the file's header as text, or ``None``."""
        size = 1024
        while size <= _MAX_METADATA_BYTES:
            buffer = ctypes.create_string_buffer(size)
            length = native.llama_model_meta_val_str(self.handle, key.encode(), buffer, size)
            if length < 0:
                return None
            if length < size:
                return buffer.raw[:length].decode("utf-8", "replace")
            size = length + 1
        return None

    def chat_template(self) -> str | None:
        """The chat template that the file brings, or ``None``."""
        return self.metadata("tokenizer.chat_template")

    def close(self) -> None:
        """Free the weights. A second call does nothing."""
        if self.handle:
            native.llama_model_free(self.handle)
            self.handle = None


def _architecture(plan: Plan) -> str:
    """Only a changed number of experts needs the header: llama.cpp wants its key by the architecture's name."""
    if plan.n_expert_used is None:
        return ""
    from engine.gguf.split import read_model

    return read_model(plan.model_path).architecture
