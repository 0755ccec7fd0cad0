"""A chat to prompt segments, by the model's own chat template or a plain one when it has none.

The rendering itself happens in a child process (``renderer.py``, kept by ``rendering.py``). What the template cannot
do with tools is said in words instead (``tool_fallback.py``). Blocks; call it from a thread that may wait.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.errors import RequestError
from engine.llama.chat import Abilities, Chat, ChatMessage, JsonObject, probe, variables, without_system
from engine.llama.rendering import Late, RendererChild
from engine.llama.tokens import Segment
from engine.llama.tool_fallback import in_words

__all__ = ["Chat", "ChatMessage", "ChatTemplate", "Rendered"]

RENDER_DEADLINE_S: Final = 2.0
"""Of computing."""
_BANNED_AFTER: Final = 3
_BAN_S: Final = 60.0
_BLAMED_BYTES: Final = 1 << 20
"""A template that is late with more than that is not to blame: nobody's megabytes may get it banned for everybody."""
_NOTHING: Final = Abilities()
"""Of a model without a template."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt."""

    segments: list[Segment]
    told_in_words: bool = False
    """The tools are told of in Hermes' form, because the template knows none."""

    @property
    def end(self) -> str:
        """What the template wrote after the last message: how the answer begins."""
        texts: list[str] = []
        for segment in reversed(self.segments):
            if not segment.trusted:
                break
            texts.append(segment.text)
        return "".join(reversed(texts))


class ChatTemplate:
    """A chat template with its rendering child. One rendering at a time; any thread."""

    def __init__(self, source: str | None, *, bos: str, eos: str, deadline_s: float = RENDER_DEADLINE_S) -> None:
        self.source = source
        self._bos = bos
        self._eos = eos
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._child = RendererChild(deadline_s)
        self._late_in_a_row = 0
        self._banned_until = 0.0
        self._abilities: Abilities | None = None

    def start(self) -> None:
        """Start the child ahead of the first message, which would wait for it."""
        if self.source is not None:
            with self._lock:
                self._child.start()

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._child.close()

    def render(self, messages: Sequence[ChatMessage], *, add_generation_prompt: bool = True) -> list[Segment]:
        """Plain messages as a prompt; see :meth:`render_chat`."""
        return self.render_chat(Chat(tuple(messages)), add_generation_prompt=add_generation_prompt).segments

    def render_chat(self, chat: Chat, *, add_generation_prompt: bool = True) -> Rendered:
        """The prompt. Whatever came from outside is marked as not trusted.

        Raises: ``RequestError`` when the template refuses the messages, fails, or takes too long.
        """
        if self.source is None:
            said = in_words(chat, _NOTHING) if chat.uses_tools else chat
            return Rendered(_plain(said.messages, self._eos, add_generation_prompt=add_generation_prompt), True)
        abilities = self.abilities() if chat.uses_tools else Abilities(tools=True)
        said = in_words(chat, abilities, self.source) if chat.uses_tools else chat
        answer = self._answer(variables(said, abilities), add_generation_prompt=add_generation_prompt)
        if "refused" in answer and said.messages[0].role == "system" and not self.abilities().system:
            said = without_system(said)
            answer = self._answer(variables(said, abilities), add_generation_prompt=add_generation_prompt)
        if "refused" in answer:
            raise RequestError(
                "template_refused", f"The model's chat template refuses these messages: {answer['refused']}"
            )
        if "failed" in answer:
            raise RequestError(
                "template_failed", f"The model's chat template does not work: {answer['failed']}", status=422
            )
        return Rendered([Segment(text, bool(trusted)) for trusted, text in answer["parts"]], not abilities.tools)

    def abilities(self) -> Abilities:
        """What the template can do with tools, found out once. Raises: ``RequestError`` when it is late even then."""
        if self._abilities is None:
            self._abilities = probe(self._text)
        return self._abilities

    def _text(self, made: JsonObject) -> str | None:
        answer = self._answer(made, add_generation_prompt=True)
        return "".join(text for _, text in answer["parts"]) if "parts" in answer else None

    def _answer(self, made: JsonObject, *, add_generation_prompt: bool) -> dict[str, Any]:
        request = {
            "template": self.source,
            "variables": {
                **made,
                "add_generation_prompt": add_generation_prompt,
                "bos_token": self._bos,
                "eos_token": self._eos,
            },
        }
        with self._lock:
            return self._ask(json.dumps(request).encode() + b"\n")

    def _ask(self, line: bytes) -> dict[str, Any]:
        if time.monotonic() < self._banned_until:
            raise _late("has taken too long again and again and is not tried for a minute")
        try:
            answer = self._child.ask(line)
        except Late as error:
            self._late_in_a_row += len(line) - len(self.source or "") <= _BLAMED_BYTES
            if self._late_in_a_row >= _BANNED_AFTER:
                self._late_in_a_row = 0
                self._banned_until = time.monotonic() + _BAN_S
            raise _late(f"took longer than {self._deadline_s:g} s or died of its size, and was ended") from error
        self._late_in_a_row = 0
        return answer


def _late(what: str) -> RequestError:
    return RequestError(
        "template_timeout",
        f"The model's chat template {what}.",
        "The file may be damaged or malicious; another file of the same model may help.",
        status=422,
    )


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
