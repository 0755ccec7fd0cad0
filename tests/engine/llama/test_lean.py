"""A worker imports llama.cpp's bindings and a server, and nothing of the packages around them."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
LOOKED_AT = ("llama_cpp.", "uvicorn.", "click", "engine.serving.", "engine.gguf.")
from engine.llama.lean import skip_high_level
skip_high_level()
import engine.llama.context, engine.llama.model, engine.serving.http.api, engine.serving.http.server
from llama_cpp import llama_cpp as native
assert native.llama_version()
print(*sorted(name for name in sys.modules if name.startswith(LOOKED_AT)))
"""


@pytest.mark.native
def test_a_worker_imports_only_what_a_chat_needs() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=True)
    imported = set(found.stdout.split())
    assert {"llama_cpp.llama_cpp", "uvicorn.server", "engine.serving.openai.wire"} <= imported
    assert not imported & {
        "click",
        "engine.gguf.reader",
        "engine.serving.anthropic.wire",
        "engine.serving.http.openapi",
        "engine.serving.openai.responses_wire",
        "llama_cpp.llama",
        "llama_cpp.llama_chat_format",
        "uvicorn.main",
    }
