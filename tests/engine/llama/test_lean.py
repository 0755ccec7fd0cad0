"""A worker imports llama.cpp's bindings and nothing of the high-level package around them."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from engine.llama.lean import skip_high_level
skip_high_level()
import engine.llama.context, engine.llama.model
from llama_cpp import llama_cpp as native
assert native.llama_version()
print(*sorted(name for name in sys.modules if name.startswith("llama_cpp.")))
"""


@pytest.mark.native
def test_the_bindings_come_without_the_high_level_package() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=True)
    assert "llama_cpp.llama_cpp" in found.stdout.split()
    assert not {"llama_cpp.llama", "llama_cpp.llama_chat_format"} & set(found.stdout.split())
