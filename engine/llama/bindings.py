"""The parts of llama.cpp's C interface that the ``llama_cpp`` package leaves out, and its log in our hands.

Everything else of llama.cpp is called through ``llama_cpp.llama_cpp`` directly. This module is the only place that
looks symbols up by name; device records are made in ``devices.py``.

Call :func:`install_log` before anything else touches the library: the package's own logger maps levels with a stale
enum and hides errors.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

from llama_cpp import llama_cpp as native

from engine.errors import ProbeFailed, WorkerError

_VOID = ctypes.c_void_p
_SIZE = ctypes.c_size_t


class LogLevel(IntEnum):
    """ggml's log levels. Source: ``enum ggml_log_level`` in ggml.h."""

    NONE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    CONT = 5
    """Continues the previous line."""


class LoadMode(IntEnum):
    """How weights reach memory. Source: ``enum llama_load_mode`` in llama.h."""

    READ = 0
    MMAP = 1


LogSink = Callable[[LogLevel, str], None]
"""Takes whole lines without the newline. May be called from any native thread, and must not raise."""

AbortSink = Callable[[str], None]
"""Takes the last message of a library that is about to call ``abort()``."""


class TensorBufferOverride(ctypes.Structure):
    """``struct llama_model_tensor_buft_override``: tensors whose name matches the pattern go to that buffer type."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


class DeviceCapabilities(ctypes.Structure):
    """``struct ggml_backend_dev_caps``."""

    _fields_ = (
        ("asynchronous", ctypes.c_bool),
        ("host_buffer", ctypes.c_bool),
        ("buffer_from_host_ptr", ctypes.c_bool),
        ("events", ctypes.c_bool),
        ("mmap_support", ctypes.c_bool),
    )


class DeviceProperties(ctypes.Structure):
    """``struct ggml_backend_dev_props``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("capabilities", DeviceCapabilities),
    )


def _libraries() -> list[ctypes.CDLL]:
    """The loaded libraries to search, libllama first.

    On Linux and macOS a lookup through libllama also searches the ggml libraries it is linked to. Opening those by
    path instead can load a second copy with an empty device registry of its own, because a wheel stores the aliases
    of a library as separate files. Windows searches only the library asked, but finds a loaded one by its name.
    """
    libraries: list[ctypes.CDLL] = [native._lib]
    if sys.platform == "win32":
        libraries += [ctypes.CDLL(name) for name in ("ggml.dll", "ggml-base.dll", "ggml-cpu.dll")]
    return libraries


def bind(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Look up a C function. Raises: ``WorkerError`` when the installed build lacks it."""
    for library in _libraries():
        try:
            pointer = library[name]
        except AttributeError:
            continue
        pointer.restype = result
        pointer.argtypes = list(arguments)
        return pointer
    raise WorkerError(
        "symbol_missing",
        f"The installed llama.cpp has no function {name}.",
        "Run the set-up again; it builds the version that fits.",
    )


def bind_brief(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """As :func:`bind`, keeping the interpreter during the call: for calls so brief, and so many, that giving it away
    each time to a thread that may keep it would cost more than they do."""
    found: Any = bind(name, result, *arguments)
    address = ctypes.cast(found, ctypes.c_void_p).value
    assert address is not None, "a function that was found has an address"
    brief: Callable[..., Any] = ctypes.PYFUNCTYPE(result, *arguments)(address)
    return brief


class _LineJoiner:
    """Turns fragments of any native thread into whole lines for one sink."""

    def __init__(self, sink: LogSink, least: LogLevel) -> None:
        self._sink = sink
        self._least = least
        self._lock = threading.Lock()
        self._level = LogLevel.INFO
        self._partial = ""

    def add(self, level: int, text: str) -> None:
        with self._lock:
            if level != LogLevel.CONT:
                self._flush()
                self._level = LogLevel(level) if level in LogLevel.__members__.values() else LogLevel.INFO
            self._partial += text
            if self._partial.endswith("\n"):
                self._flush()

    def _flush(self) -> None:
        lines, self._partial = self._partial, ""
        if self._level < self._least:
            return
        for line in lines.splitlines():
            if line.strip():
                self._sink(self._level, line)


_kept_alive: dict[str, object] = {}
"""Callbacks the library holds pointers to; dropping one would crash the process at the next line."""


def install_log(sink: LogSink, *, least: LogLevel = LogLevel.INFO) -> None:
    """Send every log line of llama.cpp and ggml at ``least`` or above to ``sink``; the last call wins."""
    joiner = _LineJoiner(sink, least)

    def receive(level: int, text: bytes | None, _user_data: object) -> None:
        joiner.add(level, (text or b"").decode("utf-8", "replace"))

    callback = native.llama_log_callback(receive)
    native.llama_log_set(callback, ctypes.c_void_p(0))
    _kept_alive["log"] = callback


def install_abort(sink: AbortSink) -> None:
    """Hear the message of a failed assertion before the process dies of it."""
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p)

    def receive(message: bytes | None) -> None:
        sink((message or b"").decode("utf-8", "replace"))

    callback = kind(receive)
    bind("ggml_set_abort_callback", _VOID, kind)(callback)
    _kept_alive["abort"] = callback


def device_pointers() -> list[int]:
    """Every registered ggml device, in ggml's order."""
    count = bind("ggml_backend_dev_count", _SIZE)()
    get = bind("ggml_backend_dev_get", _VOID, _SIZE)
    return [get(index) for index in range(count)]


def device_properties(device: int) -> DeviceProperties:
    """Name, memory, type and PCI id of a device. The strings live as long as the library."""
    properties = DeviceProperties()
    bind("ggml_backend_dev_get_props", None, _VOID, ctypes.POINTER(DeviceProperties))(device, ctypes.byref(properties))
    return properties


def device_backend_name(device: int) -> str:
    """The name of the backend that owns a device: ``CPU``, ``CUDA``, ``Vulkan``, ``MTL``, ``RPC`` …"""
    registry = bind("ggml_backend_dev_backend_reg", _VOID, _VOID)(device)
    name: bytes | None = bind("ggml_backend_reg_name", ctypes.c_char_p, _VOID)(registry)
    return (name or b"").decode("utf-8", "replace")


def cpu_buffer_type() -> int:
    """The plain main-memory buffer type, for :func:`overrides`."""
    pointer: int = bind("ggml_backend_cpu_buffer_type", _VOID)()
    return pointer


def device_buffer_type(device: int) -> int:
    """A device's own buffer type."""
    pointer: int = bind("ggml_backend_dev_buffer_type", _VOID, _VOID)(device)
    return pointer


def buffer_type_name(buffer_type: int) -> str:
    """What llama.cpp's log calls buffers of that type."""
    name: bytes | None = bind("ggml_backend_buft_name", ctypes.c_char_p, _VOID)(buffer_type)
    return (name or b"").decode("utf-8", "replace")


def overrides(pairs: Sequence[tuple[str, int]]) -> ctypes.Array[TensorBufferOverride]:
    """A list for ``llama_model_params.tensor_buft_overrides``: (regular expression, buffer type), first match wins.

    Set it with ``ctypes.cast(array, ctypes.c_void_p)`` and keep the array alive until the model has loaded.
    """
    entries = [TensorBufferOverride(pattern.encode(), buffer_type) for pattern, buffer_type in pairs]
    return (TensorBufferOverride * (len(pairs) + 1))(*entries, TensorBufferOverride(None, None))


def device_list(devices: Sequence[int]) -> ctypes.Array[ctypes.c_void_p]:
    """A list for ``llama_model_params.devices``, ended by a null. Keep it alive until the model has loaded."""
    return (ctypes.c_void_p * (len(devices) + 1))(*devices, None)


def add_rpc_server(endpoint: str) -> None:
    """Register the devices of a ggml RPC server (``HOST:PORT``).

    ggml ends the process when the server does not answer, so check the port first.
    Raises: ``ProbeFailed`` when the build lacks the RPC backend or the server offers no device.
    """
    registry = bind("ggml_backend_reg_by_name", _VOID, ctypes.c_char_p)(b"RPC")
    lookup = bind("ggml_backend_reg_get_proc_address", _VOID, _VOID, ctypes.c_char_p)
    address = lookup(registry, b"ggml_backend_rpc_add_server") if registry else None
    if not address:
        raise ProbeFailed("rpc_missing", "The installed llama.cpp was built without its RPC backend.")
    added = ctypes.CFUNCTYPE(_VOID, ctypes.c_char_p)(address)(endpoint.encode())
    if not added:
        raise ProbeFailed("rpc_refused", f"The RPC server at {endpoint} offers no device.")
    bind("ggml_backend_register", None, _VOID)(added)
