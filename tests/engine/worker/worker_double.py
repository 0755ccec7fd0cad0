"""A process that speaks the worker's protocol and misbehaves as told. It imports nothing of ours on purpose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn


def tell(event: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def log(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def become_ready() -> None:
    tell("loading", progress_ratio=0.5)
    tell("loading", progress_ratio=1.0)
    tell("ready", pid=os.getpid(), address="http://127.0.0.1:9", load_s=0.01, buffers=[["CPU", "kv", 1]])


def obey() -> NoReturn:
    """Wait for the end as a good worker does: ``stop`` or the end of the parent."""
    for line in sys.stdin:
        if line.strip() == "stop":
            tell("stopped")
            break
    os._exit(0)


def silence() -> NoReturn:
    while True:
        time.sleep(60)


def good(spec: dict[str, Any], _extra: str) -> None:
    log(f"keys: {len(spec['api_keys'])}")
    become_ready()
    obey()


def die_once(_spec: dict[str, Any], marker: str) -> None:
    become_ready()
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    obey()


def signalled(_spec: dict[str, Any], name: str) -> None:
    tell("loading", progress_ratio=0.1)
    os.kill(os.getpid(), getattr(signal, name))
    silence()


def assertion(_spec: dict[str, Any], _extra: str) -> None:
    log("/src/ggml.c:12: GGML_ASSERT(n > 0) failed")
    os.abort()


def needs_small_context(spec: dict[str, Any], largest: str) -> None:
    tell("loading", progress_ratio=0.9)
    if spec["plan"]["n_ctx"] > int(largest):
        log("ggml_aligned_malloc: insufficient memory (attempted to allocate 9000.00 MB)")
        os._exit(1)
    become_ready()
    obey()


def outgrows_memory(spec: dict[str, Any], largest: str) -> None:
    become_ready()
    if spec["plan"]["n_ctx"] > int(largest):
        log("ggml_aligned_malloc: insufficient memory (attempted to allocate 9000.00 MB)")
        os._exit(1)
    obey()


def polite_failure(_spec: dict[str, Any], _extra: str) -> None:
    tell("failed", code="bad_model_file", sentence="The file is not a model.", hint="Choose another.", evidence="")


def hang(_spec: dict[str, Any], _extra: str) -> None:
    become_ready()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    silence()


def stuck(_spec: dict[str, Any], _extra: str) -> None:
    become_ready()
    while True:
        tell("alive", busy=True, steps=7)
        time.sleep(0.02)


def idle_heart(_spec: dict[str, Any], _extra: str) -> None:
    become_ready()

    def beat() -> None:
        while True:
            tell("alive", busy=False, steps=7)
            time.sleep(0.02)

    threading.Thread(target=beat, daemon=True).start()
    obey()


def deaf(_spec: dict[str, Any], _extra: str) -> None:
    """Neither asking nor terminating ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    become_ready()
    silence()


def garbage(_spec: dict[str, Any], _extra: str) -> None:
    while True:
        sys.stdout.write("\x00\x1b[31m{]} not an event\n")


def flood(_spec: dict[str, Any], _extra: str) -> None:
    while True:
        tell("alive", busy=False, steps=1)


def endless_line(_spec: dict[str, Any], _extra: str) -> None:
    while True:
        sys.stdout.write("x" * 65536)


def chatty_log(_spec: dict[str, Any], _extra: str) -> None:
    """Writes 8 MB of log, then is ready: nobody may be blocked by it, and only the end is kept."""
    for number in range(8000):
        log(f"{number} " + "y" * 1000)
    log("the last line")
    become_ready()
    obey()


def backwards(_spec: dict[str, Any], _extra: str) -> None:
    become_ready()
    tell("loading", progress_ratio=0.1)
    obey()


def left_a_child(_spec: dict[str, Any], pid_file: str) -> None:
    """Dies, while a grandchild keeps its pipes open."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(pid_file).write_text(str(child.pid))
    os._exit(3)


if __name__ == "__main__":
    tell("starting", pid=os.getpid())
    given = json.loads(sys.stdin.readline())
    globals()[sys.argv[1]](given, sys.argv[2] if len(sys.argv) > 2 else "")
