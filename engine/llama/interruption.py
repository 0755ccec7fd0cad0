"""A word that makes a running computation on the processor end early, from any thread and without the GIL."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from llama_cpp import llama_cpp as native


class StopWord:
    """``strlen`` as llama.cpp's abort callback: it returns 0 for the empty text and 1 for ``!``.

    The callback runs between any two operations of a graph, hundreds of times a token. A Python function there would
    need the GIL each time.
    """

    def __init__(self) -> None:
        library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        self._word = ctypes.create_string_buffer(b"", 2)
        self._callback = ctypes.cast(library.strlen, native.ggml_abort_callback)

    def attach(self, parameters: Any) -> None:
        """Give it to ``llama_context_params``. Keep the word as long as the context."""
        parameters.abort_callback = self._callback
        parameters.abort_callback_data = ctypes.addressof(self._word)

    def say(self) -> None:
        """End a running computation at its next operation. Any thread."""
        self._word[0] = b"!"

    def take_back(self) -> None:
        """Before each computation that shall not end early."""
        self._word[0] = b"\0"
