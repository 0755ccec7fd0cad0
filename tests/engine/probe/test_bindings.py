"""Our own symbols of the real library, each in a process of its own: callbacks and registries are the process's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.native, pytest.mark.timeout(400)]


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_errors_reach_the_log_in_whole_lines(tmp_path: Path) -> None:
    """The binding's own logger hides errors; ours hears them, and nothing reaches the terminal."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"nothing")
    result = _run(
        "import sys\n"
        "from engine.llama import bindings\n"
        "heard = []\n"
        "bindings.install_log(lambda level, line: heard.append((level.name, line)), least=bindings.LogLevel.WARN)\n"
        "from llama_cpp import llama_cpp as native\n"
        "native.llama_model_load_from_file(sys.argv[1].encode(), native.llama_model_default_params())\n"
        "assert any(level == 'ERROR' and 'magic' in line for level, line in heard), heard\n"
        "assert all(not line.endswith(chr(10)) and line for _, line in heard), heard\n"
        "assert not any(level in ('DEBUG', 'INFO', 'CONT') for level, _ in heard), heard\n",
        str(path),
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_pieces_of_a_line_are_joined() -> None:
    result = _run(
        "import ctypes\n"
        "from engine.llama import bindings\n"
        "heard = []\n"
        "bindings.install_log(lambda level, line: heard.append((level.name, line)))\n"
        "log = bindings._kept_alive['log']\n"
        "pieces = [(2, b'one '), (5, b'two'), (5, b' three\\n'), (1, b'hidden '), (5, b'too\\n'), (4, b'bad')]\n"
        "for level, text in [*pieces, (3, b'odd \\xff\\n')]:\n"
        "    log(level, text, None)\n"
        "assert heard == [('INFO', 'one two three'), ('ERROR', 'bad'), ('WARN', 'odd \\ufffd')], heard\n"
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="dies of a signal")
def test_the_last_words_before_an_abort_are_heard() -> None:
    result = _run(
        "import sys\n"
        "from engine.llama import bindings\n"
        "bindings.install_log(lambda level, line: None)\n"
        "bindings.install_abort(lambda message: (sys.stderr.write('LAST: ' + message), sys.stderr.flush()))\n"
        "import ctypes\n"
        "abort = bindings.bind('ggml_abort', None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)\n"
        "abort(b'somewhere.cpp', 7, b'out of luck')\n"
    )
    assert result.returncode == -6
    assert "LAST: " in result.stderr
    assert "out of luck" in result.stderr


def test_a_missing_symbol_is_a_sentence() -> None:
    result = _run(
        "from engine.errors import WorkerError\n"
        "from engine.llama import bindings\n"
        "try:\n"
        "    bindings.bind('ggml_no_such_function', None)\n"
        "except WorkerError as error:\n"
        "    assert 'ggml_no_such_function' in error.sentence\n"
        "else:\n"
        "    raise SystemExit('found it')\n"
    )
    assert result.returncode == 0, result.stderr


def test_our_table_of_tensor_types_is_the_library_s() -> None:
    result = _run(
        "import ctypes\n"
        "from engine.gguf.quants import TENSOR_TYPES\n"
        "from engine.llama import bindings\n"
        "block = bindings.bind('ggml_blck_size', ctypes.c_int64, ctypes.c_int)\n"
        "size = bindings.bind('ggml_type_size', ctypes.c_size_t, ctypes.c_int)\n"
        "name = bindings.bind('ggml_type_name', ctypes.c_char_p, ctypes.c_int)\n"
        "known = {n for n in range(43) if block(n) > 0}\n"
        "assert known == set(TENSOR_TYPES), known ^ set(TENSOR_TYPES)\n"
        "for number, kind in TENSOR_TYPES.items():\n"
        "    ours = (kind.block_elements, kind.block_bytes, kind.name.lower())\n"
        "    assert ours == (block(number), size(number), name(number).decode().lower()), kind\n"
    )
    assert result.returncode == 0, result.stderr


def test_overrides_end_with_an_empty_entry() -> None:
    result = _run(
        "from engine.llama import bindings\n"
        "cpu = bindings.cpu_buffer_type()\n"
        "array = bindings.overrides([('blk.1.*exps', cpu), ('x', cpu)])\n"
        "found = [(entry.pattern, entry.buffer_type) for entry in array]\n"
        "assert found == [(b'blk.1.*exps', cpu), (b'x', cpu), (None, None)], found\n"
        "assert list(bindings.device_list([5, 6])) == [5, 6, None]\n"
    )
    assert result.returncode == 0, result.stderr
