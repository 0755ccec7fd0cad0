"""A loopback stand-in for a card: serves this machine's processor as a ggml RPC device until stdin ends."""

from __future__ import annotations

import ctypes
import os
import sys
import threading

from engine.llama import bindings


def main(endpoint: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    devices = (ctypes.c_void_p * 1)(bindings.device_pointers()[0])
    start = bindings.bind(
        "ggml_backend_rpc_start_server",
        None,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_size_t,
        ctypes.c_void_p,
    )
    start(endpoint.encode(), None, 1, 1, devices)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
