"""Messages to prompt segments, by the model's own chat template or a plain one when it has none.

The rendering itself happens in a child process (``renderer.py``) that is ended when it is late. This side keeps the
child, the deadline and the fallback. Blocks; call it from a thread that may wait.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.errors import RequestError
from engine.llama.tokens import Segment

RENDER_DEADLINE_S: Final = 2.0
START_DEADLINE_S: Final = 10.0
"""For the child to be there at all."""
_NOTHING: Final = b'{"template":"","variables":{"messages":[]}}\n'
_BANNED_AFTER: Final = 3
_BAN_S: Final = 60.0
_BLAMED_BYTES: Final = 1 << 20
"""A template that is late with more than that is not to blame: nobody's megabytes may get it banned for everybody."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message, as the API received it."""

    role: str
    content: str
    name: str | None = None


class ChatTemplate:
    """A chat template with its rendering child. One rendering at a time; any thread."""

    def __init__(self, source: str | None, *, bos: str, eos: str, deadline_s: float = RENDER_DEADLINE_S) -> None:
        self._source = source
        self._bos = bos
        self._eos = eos
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._late_in_a_row = 0
        self._banned_until = 0.0

    def start(self) -> None:
        """Start the child ahead of the first message, which would wait for it."""
        if self._source is not None:
            with self._lock:
                self._child_at_work()

    def render(self, messages: Sequence[ChatMessage], *, add_generation_prompt: bool = True) -> list[Segment]:
        """The prompt. Contents are marked as not trusted.

        Raises: ``RequestError`` when the template refuses the messages, fails, or takes too long.
        """
        if self._source is None:
            return _plain(messages, self._eos, add_generation_prompt=add_generation_prompt)
        request = {
            "template": self._source,
            "variables": {
                "messages": [_as_variables(message) for message in messages],
                "add_generation_prompt": add_generation_prompt,
                "bos_token": self._bos,
                "eos_token": self._eos,
            },
        }
        with self._lock:
            answer = self._ask(json.dumps(request).encode() + b"\n")
        if "refused" in answer:
            raise RequestError(
                "template_refused", f"The model's chat template refuses these messages: {answer['refused']}"
            )
        if "failed" in answer:
            raise RequestError(
                "template_failed", f"The model's chat template does not work: {answer['failed']}", status=422
            )
        return [Segment(text, bool(trusted)) for trusted, text in answer["parts"]]

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end_child()

    def _ask(self, line: bytes) -> dict[str, Any]:
        if time.monotonic() < self._banned_until:
            raise _late("has taken too long again and again and is not tried for a minute")
        answer = _exchange(self._child_at_work(), line, self._deadline_s)
        if answer is not None:
            self._late_in_a_row = 0
            return answer
        self._end_child()
        self._late_in_a_row += len(line) - len(self._source or "") <= _BLAMED_BYTES
        if self._late_in_a_row >= _BANNED_AFTER:
            self._late_in_a_row = 0
            self._banned_until = time.monotonic() + _BAN_S
        raise _late(f"took longer than {self._deadline_s:g} s or died of its size, and was ended")

    def _child_at_work(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end_child()
            self._child = _start_child()
            _exchange(self._child, _NOTHING, START_DEADLINE_S)
        return self._child

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            child.wait()


def _start_child() -> subprocess.Popen[bytes]:
    """The child inherits nothing but its two pipes: an open standard input of ours would outlive us there."""
    return subprocess.Popen(
        [sys.executable, "-m", "engine.llama.renderer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )


def _exchange(child: subprocess.Popen[bytes], line: bytes, deadline_s: float) -> dict[str, Any] | None:
    """Send a line and read the answering one; ``None`` when the child died or was late, and then it is killed."""
    assert child.stdin is not None
    assert child.stdout is not None
    timer = threading.Timer(deadline_s, child.kill)
    timer.daemon = True
    timer.start()
    try:
        _write_all(child.stdin, line)
        chunks: list[bytes] = []
        while not chunks or not chunks[-1].endswith(b"\n"):
            chunk = child.stdout.read(1 << 20)
            if not chunk:
                return None
            chunks.append(chunk)
    except OSError:
        return None
    finally:
        timer.cancel()
        timer.join()
    answer: dict[str, Any] = json.loads(b"".join(chunks))
    return answer


def _write_all(pipe: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def _late(what: str) -> RequestError:
    return RequestError(
        "template_timeout",
        f"The model's chat template {what}.",
        "The file may be damaged or malicious; another file of the same model may help.",
        status=422,
    )


def _as_variables(message: ChatMessage) -> dict[str, str]:
    variables = {"role": message.role, "content": message.content}
    if message.name is not None:
        variables["name"] = message.name
    return variables


def _plain(messages: Sequence[ChatMessage], eos: str, *, add_generation_prompt: bool) -> list[Segment]:
    """For a model without a template: named paragraphs."""
    segments: list[Segment] = []
    for message in messages:
        segments.append(Segment(f"{message.role.capitalize()}: ", True))
        segments.append(Segment(message.content, False))
        segments.append(Segment(f"{eos}\n" if message.role == "assistant" else "\n", True))
    if add_generation_prompt:
        segments.append(Segment("Assistant:", True))
    return segments
