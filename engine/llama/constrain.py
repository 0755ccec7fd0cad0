"""Constraints on an answer's text, on llguidance: compiled once, then asked token by token.

A :class:`Constraint` says what is wanted; :class:`GrammarCompiler` makes a :class:`Grammar` of it, in a thread that
prepares requests; each sequence takes a :class:`Matcher` from there, for the engine's thread. Which schemas and
expressions are accepted at all is ``engine/serving/openai/structured.py``'s decision, and when a token is drawn the
sampler's.

The order that costs least: a token is drawn as if there were no constraint and only that one token is checked, in a few
microseconds. Only when it is refused is the mask of all allowed tokens computed, and a token drawn again, by the same
settings, from what is allowed. So the answer's distribution is that of llama.cpp's own sampling under a grammar: an
allowed token keeps its probability, and what refused ones had goes to the allowed ones as drawn under the mask.
"""

from __future__ import annotations

import ctypes
import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import RequestError
from engine.llama.json_layout import ON_ONE_LINE, laid_out
from engine.llama.repetition import MAX_REPEATED_CHARS, repeated_terms
from engine.llama.tokens import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

ConstraintKind = Literal["json_schema", "gbnf", "regex", "choice", "lark"]

COMPILE_LIMIT_S: Final = 2.0
"""Processor time that compiling a constraint may take. llguidance has no clock; its fuel is set so that this is only
reached by what we did not think of."""
_KEPT_GRAMMARS: Final = 16
_SPECIAL_MARK: Final = b"\xff"
"""No text has this byte; llguidance takes what follows it for a control token's name.
Source: ``llguidance.llamacpp``."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an answer's text must be.

    ``text`` is a JSON schema, a GBNF grammar, a regular expression (of the whole answer, Rust's dialect), a JSON list
    of strings, or a grammar in llguidance's Lark dialect, which can name control tokens (``<|call|>``) and embed
    schemas (``%json {...}``). Lark is for callers inside the engine: nothing in it is checked for keywords.
    """

    kind: ConstraintKind
    text: str
    starts_after: int | None = None
    """A token up to and including which the text is free (the end of a model's thinking); ``None``: from the start."""


class GrammarCompiler:
    """Compiles constraints for one vocabulary. Any thread; compiling releases the GIL.

    The vocabulary's trie, which takes half a second, is made at the first constraint.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokenizer: LLTokenizer | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[Constraint, Grammar] = OrderedDict()

    def compile(self, constraint: Constraint) -> Grammar:
        """The grammar, from memory when the same was asked for lately. Blocks for up to some seconds.

        Raises: ``RequestError`` when the constraint is not well-formed, cannot be met by any text, or is too large.
        """
        with self._lock:
            known = self._kept.get(constraint)
            if known is not None:
                self._kept.move_to_end(constraint)
                return known
            if self._tokenizer is None:
                self._tokenizer = _tokenizer(self._vocabulary)
        grammar = Grammar(self._tokenizer, constraint, self._vocabulary.n_tokens)
        with self._lock:
            self._kept[constraint] = grammar
            while len(self._kept) > _KEPT_GRAMMARS:
                self._kept.popitem(last=False)
        return grammar


class Grammar:
    """A compiled constraint. Immutable; any number of matchers can be taken from it, on any thread."""

    def __init__(self, tokenizer: LLTokenizer, constraint: Constraint, n_tokens: int) -> None:
        """Raises: ``RequestError``, see :meth:`GrammarCompiler.compile`."""
        from llguidance import LLMatcher

        self.constraint = constraint
        self._n_tokens = n_tokens
        began = time.thread_time()
        matcher = LLMatcher(tokenizer, _grammar_text(constraint), log_level=0, limits=_limits())
        if not matcher.is_error():
            # What is lazy becomes visible here, not on the engine's thread.
            matcher.compute_bitmask()
            matcher.compute_ff_tokens()
        if matcher.is_error():
            raise _refused(constraint, matcher.get_error())
        if matcher.is_stopped():
            raise _refused(constraint, "No text but the empty one can meet it.")
        spent_s = time.thread_time() - began
        if spent_s > COMPILE_LIMIT_S:
            raise _refused(constraint, f"Compiling it took {spent_s:.1f} s; {COMPILE_LIMIT_S:g} s is the most.")
        self._prototype = matcher
        self._lock = threading.Lock()

    def matcher(self) -> Matcher:
        """At the beginning of the text."""
        with self._lock:  # a matcher may be used by one thread at a time, and copying uses it
            return Matcher(self._prototype.deep_copy(), self._n_tokens, self.constraint.starts_after)


class Matcher:
    """Where one sequence stands in its grammar. One thread at a time."""

    def __init__(self, matcher: LLMatcher, n_tokens: int, starts_after: int | None) -> None:
        self._matcher = matcher
        self._n_tokens = n_tokens
        self._starts_after = starts_after
        self._forced: list[int] = []
        """Known to come next, not handed out yet."""

    @property
    def stopped(self) -> bool:
        """The text is complete, and nothing can follow it."""
        return self._starts_after is None and bool(self._matcher.is_stopped())

    @property
    def accepting(self) -> bool:
        """The text could end here."""
        return self._starts_after is None and bool(self._matcher.is_accepting())

    def allows(self, token: int) -> bool:
        """Whether a token can come next. End-of-text tokens can where the text could end."""
        return self._starts_after is not None or self._matcher.validate_tokens([token]) == 1

    def allowed(self) -> NDArray[np.bool_]:
        """For each token whether it can come next: (n_vocab,). Raises: ``RequestError`` when the grammar gives up."""
        if self._starts_after is not None:
            return np.ones(self._n_tokens, np.bool_)
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        return np.unpackbits(bits, count=self._n_tokens, bitorder="little").view(np.bool_)

    def advance(self, token: int) -> None:
        """Take a token that :meth:`allows` agreed to. Raises: ``RequestError`` when the grammar gives up."""
        if self._starts_after is not None:
            if token == self._starts_after:
                self._starts_after = None
            return
        if self._forced and self._forced[0] == token:
            del self._forced[0]
        else:
            self._forced.clear()
        if not self._matcher.consume_token(token):
            self._check()

    def forced(self, most: int) -> list[int]:
        """The tokens that must come next, at most so many; the matcher has then gone past them.

        They are the tokens that the vocabulary makes of the forced text together with what may follow it, so that none
        ends in the middle of one that the model would write.
        """
        if self._starts_after is not None or most <= 0 or self._matcher.is_stopped():
            return []
        self._forced = self._forced or self._compute_forced()
        taken, self._forced = self._forced[:most], self._forced[most:]
        if taken and not self._matcher.consume_tokens(taken):
            self._check()
        return taken

    def upcoming(self, most: int) -> list[int]:
        """What :meth:`forced` would return, without going there."""
        if self._starts_after is not None or self._matcher.is_stopped():
            return []
        return (self._forced or self._compute_forced())[:most]

    def _compute_forced(self) -> list[int]:
        tokens = list(self._matcher.compute_ff_tokens())
        # A vocabulary without a token for some byte drops it; what it then makes of the text is not the text.
        return tokens[: self._matcher.validate_tokens(tokens)] if tokens else tokens

    def longest(self, tokens: list[int]) -> int:
        """How many of these tokens could come next, one after the other."""
        return len(tokens) if self._starts_after is not None else int(self._matcher.validate_tokens(tokens))

    def _check(self) -> None:
        if self._matcher.is_error():
            message = _first_line(self._matcher.get_error())
            raise RequestError("constraint_failed", f"The constraint cannot be followed any further: {message}")


def lark_literal(text: str) -> str:
    """A text as a term of a Lark grammar."""
    return json.dumps(text, ensure_ascii=False)


def _tokenizer(vocabulary: Vocabulary) -> LLTokenizer:
    """llguidance's trie of the vocabulary; it tokenizes with llama.cpp's own function. Must not outlive the model."""
    from llama_cpp import llama_cpp as native
    from llguidance import LLTokenizer

    ends = sorted(vocabulary.end_tokens) or vocabulary.eos
    function = ctypes.cast(native._lib.llama_tokenize, ctypes.c_void_p).value
    make: Any = LLTokenizer.from_llamacpp  # type: ignore[attr-defined]
    made: LLTokenizer = make(
        tokens=vocabulary.marked_pieces(_SPECIAL_MARK),
        vocab_ptr=vocabulary.handle,
        tokenize_fptr=function,
        eos_token=ends,
        slices=None,
    )
    return made


def _limits() -> LLParserLimits:
    """Bounds in llguidance's own units: a mask takes milliseconds at most, a grammar some tens of megabytes.

    Source: the measured table in ``tests/engine/llama/test_constrain.py``.
    """
    from llguidance import LLParserLimits

    return LLParserLimits(
        max_items_in_row=1000,
        initial_lexer_fuel=1_000_000,
        step_lexer_fuel=100_000,
        step_max_items=20_000,
        max_lexer_states=30_000,
        max_grammar_size=100_000,
        verbose_errors=False,
    )


def _grammar_text(constraint: Constraint) -> str:
    """llguidance's own form. Raises: ``RequestError``."""
    from llguidance import LLMatcher

    text = constraint.text
    try:
        if constraint.kind == "json_schema":
            lines = laid_out(text)
            if lines is not None:
                return LLMatcher.grammar_from_lark(lines)
            return LLMatcher.grammar_from_json_schema(text, overrides=ON_ONE_LINE)  # type: ignore[arg-type]
        if constraint.kind == "regex":
            return LLMatcher.grammar_from_regex(text)
        if constraint.kind == "choice":
            choices = " | ".join(lark_literal(choice) for choice in json.loads(text))
            return LLMatcher.grammar_from_lark(f"start: {choices}\n")
        return LLMatcher.grammar_from_lark(text if constraint.kind == "lark" else _lark_of_gbnf(text))
    except ValueError as error:
        raise _refused(constraint, str(error)) from error


def _lark_of_gbnf(text: str) -> str:
    from llguidance.gbnf_to_lark import gbnf_to_lark

    try:
        lark = gbnf_to_lark(text)
        repeated = repeated_terms(lark)  # of its rules llguidance makes expressions where it can
    except RecursionError as error:
        raise ValueError("it is nested too deeply.") from error
    except Exception as error:  # its parser raises Exception itself
        raise ValueError(str(error)) from error
    if repeated > MAX_REPEATED_CHARS:
        raise ValueError(f"it repeats its parts up to {repeated:,} times; {MAX_REPEATED_CHARS:,} are the most.")
    return lark


def _refused(constraint: Constraint, message: str) -> RequestError:
    noun = {"json_schema": "schema", "gbnf": "grammar", "regex": "regular expression", "choice": "list of choices"}
    return RequestError(
        "invalid_constraint", f"The {noun.get(constraint.kind, 'grammar')} cannot be used: {_first_line(message)}"
    )


def _first_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip() and line.strip() != "<non-verbose/>"]
    # A regular expression's fault is told over several lines, the reason last.
    reason = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), "")
    return (reason or (lines[0] if lines else "unknown"))[:300]
