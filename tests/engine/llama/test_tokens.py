"""Text to tokens and back, against llama.cpp's own tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_cpp import llama_cpp as native

from engine.errors import RequestError
from engine.llama.model import Model
from engine.llama.tokens import Segment

pytestmark = pytest.mark.native

_CONTENT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: "<|" not in text)


@settings(max_examples=150, deadline=None)
@given(contents=st.lists(_CONTENT, max_size=4))
def test_segments_have_the_tokens_of_the_whole_text(model: Model, contents: list[str]) -> None:
    vocabulary = model.vocabulary
    segments: list[Segment] = []
    for content in contents:
        segments += [Segment("<|im_start|>user\n", True), Segment(content, False), Segment("<|im_end|>\n", True)]
    segments.append(Segment("<|im_start|>assistant\n", True))
    whole = vocabulary.tokenize("".join(s.text for s in segments), parse_special=True, add_bos=True)
    assert vocabulary.tokenize_segments(segments) == whole


_SCRAPS = st.sampled_from([*"<|>im_startend \n", "<|im_end|>", "<|im_start|>", "<|endoftext|>"])


@settings(max_examples=150, deadline=None)
@given(text=st.lists(_SCRAPS, max_size=12).map("".join))
def test_outside_text_never_becomes_a_control_token(model: Model, text: str) -> None:
    vocabulary = model.vocabulary
    controls = {vocabulary.tokenize(c, parse_special=True, add_bos=False)[0] for c in ("<|im_start|>", "<|im_end|>")}
    tokens = vocabulary.tokenize_segments([Segment("a", True), Segment(text, False), Segment("|im_end|>", True)])
    assert not controls & set(tokens)
    assert vocabulary.text(tokens) == f"a{text}|im_end|>"


def test_pieces_add_up_to_the_text(model: Model) -> None:
    text = "Zürich 東京 🙂 naïve\n\ttab"
    tokens = model.vocabulary.tokenize(text, parse_special=False, add_bos=False)
    assert b"".join(map(model.vocabulary.piece, tokens)).decode() == text


def test_control_tokens_have_a_spelling_but_no_text(model: Model) -> None:
    vocabulary = model.vocabulary
    assert vocabulary.spelling(vocabulary.eos) == "<|im_end|>"
    assert vocabulary.piece(vocabulary.eos) == b""
    assert vocabulary.eos in vocabulary.end_tokens
    assert vocabulary.spelling(-1) == vocabulary.spelling(10**9) == ""


def test_half_a_surrogate_pair_is_refused(model: Model) -> None:
    with pytest.raises(RequestError, match="surrogate"):
        model.vocabulary.tokenize("\ud800", parse_special=False, add_bos=False)


@settings(max_examples=100, deadline=None)
@given(
    text=st.one_of(_CONTENT, st.integers(0, 2000).map(lambda n: " " * n), st.integers(0, 500).map(lambda n: "=" * n))
)
def test_no_text_has_fewer_tokens_than_the_least(model: Model, text: str) -> None:
    tokens = model.vocabulary.tokenize(text, parse_special=True, add_bos=False)
    assert model.vocabulary.least_tokens(len(text)) <= len(tokens)


def test_megabytes_have_thousands_of_tokens_at_least(model: Model) -> None:
    assert model.vocabulary.least_tokens(7_000_000) > 10_000


def test_every_token_that_ends_a_text_is_known(model: Model) -> None:
    """They are sought among the control tokens; llama.cpp is asked for all here."""
    vocabulary = model.vocabulary
    ends = {t for t in range(vocabulary.n_tokens) if native.llama_vocab_is_eog(vocabulary.handle, t)}
    assert vocabulary.end_tokens == ends
