"""The vocabulary of a loaded model: text to tokens and back, and the meaning of special tokens.

Everything here reads immutable data of the model and may be called from any thread. What a chat template makes of
messages is ``template.py``'s business; it hands over segments, and only text that the template itself wrote can
become a control token.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

from llama_cpp import llama_cpp as native

from engine.errors import RequestError
from engine.llama import bindings

_ATTR_UNKNOWN: Final = 1 << 0
_ATTR_CONTROL: Final = 1 << 3
_ATTR_USER_DEFINED: Final = 1 << 4
_ATTR_LSTRIP: Final = 1 << 7
_ATTR_RSTRIP: Final = 1 << 8
"""Source: ``enum llama_token_attr`` in llama.h."""
_NO_TOKEN: Final = -1
_ASCII_SPACE: Final = " \t\n\v\f\r"
_MAX_TEXT_BYTES: Final = (1 << 31) - 1
_LENGTH_KEEPING: Final = (1, 2)
"""SPM and BPE; the others may drop parts of a text. Source: ``enum llama_vocab_type`` in llama.h."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a prompt. In text that came from outside, the spelling of a control token is only spelling."""

    text: str
    trusted: bool


class Vocabulary:
    """Tokens of one model. Keeps no native memory of its own; must not outlive the model."""

    def __init__(self, model: Any) -> None:
        self._vocab: Any = native.llama_model_get_vocab(model)
        self.n_tokens = int(native.llama_vocab_n_tokens(self._vocab))
        self.bos = int(native.llama_vocab_bos(self._vocab))
        self.eos = int(native.llama_vocab_eos(self._vocab))
        self.adds_bos = bool(native.llama_vocab_get_add_bos(self._vocab)) and self.bos != _NO_TOKEN
        self._pieces: list[bytes | None] = [None] * self.n_tokens
        self._longest_spelling = 0
        found = self._find_controls()
        self._controls: dict[str, tuple[int, int]] = {}
        """Spelling of each control token -> (token, attributes)."""
        for token, attributes in found:
            spelling = self.spelling(token)
            if spelling:
                self._controls.setdefault(spelling, (token, attributes))
        longest_first = sorted(self._controls, key=len, reverse=True)
        self._control_pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        # llama.cpp makes control tokens of those that end a text, but for the one that the file itself names.
        candidates = {self.eos, *(token for token, _ in found)} - {_NO_TOKEN}
        self.end_tokens = frozenset(token for token in candidates if native.llama_vocab_is_eog(self._vocab, token))

    @property
    def handle(self) -> Any:
        """llama.cpp's own vocabulary, for libraries that read it themselves."""
        return self._vocab

    def _find_controls(self) -> list[tuple[int, int]]:
        """(token, attributes) of each control token."""
        attributes_of = bindings.bind_brief("llama_vocab_get_attr", ctypes.c_int, ctypes.c_void_p, ctypes.c_int32)
        attributes = map(attributes_of, repeat(self._vocab), range(self.n_tokens))
        return [(token, found) for token, found in enumerate(attributes) if found & (_ATTR_CONTROL | _ATTR_UNKNOWN)]

    @property
    def controls(self) -> dict[str, int]:
        """The control tokens, by their spelling."""
        return {spelling: token for spelling, (token, _) in self._controls.items()}

    def spelling(self, token: int) -> str:
        """A token as the vocabulary writes it (``<|im_end|>``); empty for ids outside it."""
        if not 0 <= token < self.n_tokens:
            return ""
        return (native.llama_vocab_get_text(self._vocab, token) or b"").decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for: nothing for control tokens, possibly a part of a character."""
        known = self._pieces[token]
        if known is None:
            known = self._pieces[token] = self._render_piece(token, special=False)
        return known

    def _render_piece(self, token: int, *, special: bool) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            written = native.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if written >= 0:
                return buffer.raw[:written]
            size = -written

    def marked_pieces(self, mark: bytes) -> list[bytes]:
        """Every token's bytes; control tokens, and others written like tags, are spelled out behind a mark."""
        marked = []
        for token in range(self.n_tokens):
            piece = self._render_piece(token, special=True)
            attributes = int(native.llama_vocab_get_attr(self._vocab, token))
            tag = attributes & _ATTR_USER_DEFINED and piece.startswith(b"<") and piece.endswith(b">")
            marked.append(mark + piece if attributes & _ATTR_CONTROL or tag else piece)
        return marked

    def text(self, tokens: Iterable[int]) -> str:
        """Tokens as text, control tokens spelled out, broken characters replaced."""
        return b"".join(self._render_piece(token, special=True) for token in tokens).decode("utf-8", "replace")

    def least_tokens(self, n_characters: int) -> int:
        """How many tokens a text of this length takes at the very least; tells without tokenizing, which is slow and
        takes a hundred times a text's memory, that megabytes do not fit."""
        if int(native.llama_vocab_type(self._vocab)) not in _LENGTH_KEEPING:
            return 0
        if not self._longest_spelling:  # a spelling is never shorter than the bytes it stands for
            spelling_of = bindings.bind_brief("llama_vocab_get_text", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int32)
            spellings = map(spelling_of, repeat(self._vocab), range(self.n_tokens))
            self._longest_spelling = max((len(spelling or b"") for spelling in spellings), default=0) or 1
        return n_characters // self._longest_spelling

    def tokenize(self, text: str, *, parse_special: bool, add_bos: bool) -> list[int]:
        """Text to tokens as llama.cpp does it.

        With ``parse_special`` the spelling of a control token becomes that token, so only for text whose author may
        write such tokens. Raises: ``RequestError`` for text that is not valid Unicode or longer than 2 GiB.
        """
        tokens = self._tokenize(_encode(text), parse_special=parse_special)
        if add_bos and self.adds_bos and tokens[:1] != [self.bos]:
            tokens.insert(0, self.bos)
        return tokens

    def tokenize_marked(self, text: str) -> list[int]:
        """Text to tokens with the marks that the model wants around a text, as an embedding model does.

        Raises: ``RequestError`` as :meth:`tokenize` does.
        """
        return self._tokenize(_encode(text), parse_special=False, add_special=True)

    def tokenize_pair(self, query: str, document: str) -> list[int]:
        """Two texts as a cross-encoder reads them: ``[BOS] query [EOS] [SEP] document [EOS]``, each mark if the
        vocabulary adds it. Source: ``format_prompt_rerank`` in llama.cpp's server-common.cpp.

        Raises: ``RequestError`` as :meth:`tokenize` does.
        """
        sep = int(native.llama_vocab_sep(self._vocab))
        end = [self.eos if self.eos != _NO_TOKEN else sep] if native.llama_vocab_get_add_eos(self._vocab) else []
        between = [sep] if native.llama_vocab_get_add_sep(self._vocab) else []
        first, second = (self._tokenize(_encode(text), parse_special=False) for text in (query, document))
        return [*([self.bos] if self.adds_bos else []), *first, *end, *between, *second, *end]

    def _tokenize(self, encoded: bytes, *, parse_special: bool, add_special: bool = False) -> list[int]:
        if not encoded and not add_special:
            return []
        capacity = len(encoded) // 2 + 16
        while True:
            buffer = (ctypes.c_int32 * capacity)()
            count = native.llama_tokenize(
                self._vocab,
                encoded,
                len(encoded),
                buffer,
                capacity,
                add_special,
                parse_special,
            )
            if count >= 0:
                return buffer[:count]
            capacity = -count

    def tokenize_segments(self, segments: Sequence[Segment], *, add_bos: bool = True) -> list[int]:
        """A rendered chat to tokens; exactly llama.cpp's tokens of the joined text, unless outside text spells control
        tokens: those stay ordinary text.

        llama.cpp first cuts a text at its control tokens and then tokenizes what lies between. The first step is done
        here, on trusted text alone; the runs between are tokenized whole, across the borders of segments.
        """
        tokens: list[int] = [self.bos] if self.adds_bos and add_bos else []
        run: list[str] = []
        strip_left = False

        def flush(*, strip_right: bool) -> None:
            text = "".join(run)
            run.clear()
            text = text.lstrip(_ASCII_SPACE) if strip_left else text
            text = text.rstrip(_ASCII_SPACE) if strip_right else text
            tokens.extend(self._tokenize(_encode(text), parse_special=False))

        for text, control in self._cut(segments):
            run.append(text)
            if control is not None:
                token, attributes = control
                flush(strip_right=bool(attributes & _ATTR_LSTRIP))
                # A template that writes the beginning-of-sequence token itself must not make it two.
                if not (token == self.bos and self.adds_bos and tokens == [self.bos]):
                    tokens.append(token)
                strip_left = bool(attributes & _ATTR_RSTRIP)
        flush(strip_right=False)
        return tokens

    def _cut(self, segments: Sequence[Segment]) -> Iterable[tuple[str, tuple[int, int] | None]]:
        """Stretches of plain text, each with the control token that follows it."""
        for segment in segments:
            if not segment.trusted or self._control_pattern is None:
                yield segment.text, None
                continue
            start = 0
            for match in self._control_pattern.finditer(segment.text):
                yield segment.text[start : match.start()], self._controls[match[0]]
                start = match.end()
            yield segment.text[start:], None


def _encode(text: str) -> bytes:
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestError(
            "invalid_text", "The text holds half of a surrogate pair, which is not a character."
        ) from error
    if len(encoded) > _MAX_TEXT_BYTES:
        raise RequestError("too_large", f"The text has {len(encoded)} bytes; 2 GiB is the most.", status=413)
    return encoded
