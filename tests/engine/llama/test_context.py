"""Decoding through the low-level interface: batches in place, logits without copies, memory of sequences."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import WorkerError
from engine.llama.context import Context, DecodeResult, Logits
from engine.llama.model import LoadCancelled, Model
from tests.engine.served import plan

pytestmark = pytest.mark.native

TOKENS = list(range(1000, 1040))


def _decode(context: Context, tokens: list[int], *, sequence: int = 0, start: int = 0) -> int:
    n = len(tokens)
    context.tokens[:n] = tokens
    context.positions[:n] = range(start, start + n)
    context.sequences[:n] = sequence
    context.outputs[:n] = 0
    context.outputs[n - 1] = 1
    context.allow()
    return context.decode(n)


def _last(context: Context, n: int) -> Logits:
    return context.logits(n - 1).copy()


def test_a_shared_prefix_gives_the_same_logits_as_a_computed_one(context: Context) -> None:
    assert _decode(context, TOKENS) == DecodeResult.OK
    expected = _last(context, len(TOKENS))
    context.share(0, 1, 30)
    assert _decode(context, TOKENS[30:], sequence=1, start=30) == DecodeResult.OK
    assert int(_last(context, 10).argmax()) == int(expected.argmax())
    np.testing.assert_allclose(_last(context, 10), expected, atol=0.2)


def test_what_was_cut_off_is_forgotten(context: Context) -> None:
    _decode(context, TOKENS)
    assert (context.first_position(0), context.last_position(0)) == (0, 39)
    assert context.truncate(0, 10)
    assert context.last_position(0) == 9
    assert context.truncate(0, 0)
    assert context.last_position(0) == -1


def test_a_full_cache_is_an_answer_and_changes_nothing(context: Context) -> None:
    tokens = [1000 + i % 500 for i in range(100)]
    for start in range(0, 500, 100):
        assert _decode(context, tokens, start=start) == DecodeResult.OK
    assert _decode(context, tokens, start=500) == DecodeResult.NO_CELLS
    assert context.last_position(0) == 499


def test_an_interrupted_decode_can_be_done_again(context: Context) -> None:
    _decode(context, TOKENS)
    expected = _last(context, len(TOKENS))
    context.truncate(0, 0)
    n = len(TOKENS)
    context.interrupt()
    assert context.decode(n) == DecodeResult.INTERRUPTED
    context.truncate(0, 0)
    assert _decode(context, TOKENS) == DecodeResult.OK
    np.testing.assert_array_equal(_last(context, n), expected)


def test_a_row_without_logits_has_none(context: Context) -> None:
    _decode(context, TOKENS)
    with pytest.raises(WorkerError, match="row 3"):
        context.logits(3)


def test_warming_up_leaves_nothing_behind(context: Context) -> None:
    context.warm_up(1)
    assert context.last_position(0) == -1


def test_loading_can_be_stopped(model: Model) -> None:
    ratios: list[float] = []

    def stop(ratio: float) -> bool:
        ratios.append(ratio)
        return ratio < 0.3

    with pytest.raises(LoadCancelled):
        Model.load(plan(load_mode="read"), stop)
    assert ratios[-1] < 0.9


def test_the_header_is_told(model: Model) -> None:
    assert model.metadata("general.architecture") == "llama"
    assert model.metadata("no.such.key") is None
    assert "<|im_start|>" in (model.chat_template() or "")
    assert model.n_ctx_train == 8192
    assert not model.recurrent
