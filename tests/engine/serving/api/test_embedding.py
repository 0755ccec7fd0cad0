"""Who goes into one computation."""

from __future__ import annotations

import numpy as np
import pytest

from engine.llama.embedder import Vector
from engine.serving.vectors.api import fill_template
from engine.serving.vectors.engine import EmbeddingTicket, choose
from engine.serving.vectors.wire import cut

ROW: Vector = np.zeros(1, np.float32)


def _ticket(*lengths: int, done: int = 0) -> EmbeddingTicket:
    ticket = EmbeddingTicket(tuple((0,) * length for length in lengths), lambda _: None)
    ticket.rows += [ROW] * done
    return ticket


@pytest.mark.parametrize(
    ("tickets", "expected"),
    [
        ([_ticket(10, 10, 10), _ticket(10)], [(0, 10), (1, 10), (0, 10), (0, 10)]),  # in turn
        ([_ticket(60, 60), _ticket(30)], [(0, 60), (1, 30)]),  # what still fits
        ([_ticket(60, 50, 1)], [(0, 60)]),  # the order of one request is kept
        ([_ticket(500), _ticket(1)], [(0, 500)]),  # longer than a batch: alone
        ([_ticket(1), _ticket(500)], [(0, 1)]),
        ([_ticket(5, 6, 7, done=2)], [(0, 7)]),
        ([_ticket(*[1] * 9)], [(0, 1)] * 4),  # no more texts than sequences
        ([], []),
    ],
)
def test_choose(tickets: list[EmbeddingTicket], expected: list[tuple[int, int]]) -> None:
    chosen = choose(tickets, n_tokens=100, n_texts=4)
    assert [(tickets.index(ticket), len(text)) for ticket, text in chosen] == expected


def test_a_cut_vector_is_of_length_one_and_zeros_stay() -> None:
    rows = [np.array([3, 4, 12], np.float32), np.zeros(3, np.float32)]
    assert cut(rows, 2).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    assert cut(rows, None)[0].tolist() == pytest.approx([3 / 13, 4 / 13, 12 / 13])


def test_only_the_templates_own_text_is_trusted() -> None:
    segments = fill_template("<a>{query}<b>{document}<c>", "{document}", "<a>")
    assert [(segment.text, segment.trusted) for segment in segments] == [
        ("<a>", True),
        ("{document}", False),
        ("<b>", True),
        ("<a>", False),
        ("<c>", True),
    ]
