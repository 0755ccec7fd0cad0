"""The serving bench reads streams, percentiles and receipts rightly; what it measures is not tested here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.serving import report
from tests.bench.serving_client import Arrivals, Reply
from tests.bench.serving_load import _worst_gap, percentile, words
from tests.bench.serving_receipts import FIELDS, Receipt, differing, field_f1, load
from tests.bench.serving_sides import MICRO_BATCH, Setting, our_plan
from tests.made_models import STARTER

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.native
def test_sessions_apart_are_planned_as_users_get_them() -> None:
    setting = Setting(STARTER, 5, 8_192, apart=True)
    plan = our_plan(setting)
    assert (plan.kv_unified, plan.n_seq_max, plan.n_gpu_layers, plan.n_ubatch) == (False, 5, 0, MICRO_BATCH)
    assert plan.n_ctx_each == 1_792  # the next multiple of 256, to which llama-server rounds its parts as well
    assert "`gatehouse serve --users N`" in report([], {})


def arrived(*pieces: bytes) -> Arrivals:
    """Reads at the seconds 0, 1, 2 …"""
    return Arrivals(list(pieces), [float(second) for second in range(len(pieces))])


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def reply(times: list[float], asked_at: float = 0.0, tokens: int = 0) -> Reply:
    return Reply(asked_at, tuple(times), times[-1], "", 0, 0, tokens)


def test_an_event_is_there_when_its_last_byte_is() -> None:
    split = chunk(b"data: one\n\ndata: t") + chunk(b"wo\n\n")
    events = arrived(HEAD + split[:9], split[9:27], split[27:] + b"0\r\n\r\n").events()
    assert events == [(1.0, b"data: one"), (2.0, b"data: two")]


def test_a_stream_that_was_hung_up_on_keeps_its_whole_events() -> None:
    assert arrived(HEAD, chunk(b"data: one\n\n"), b"1f").events() == [(1.0, b"data: one")]


def test_a_refusal_is_no_stream() -> None:
    with pytest.raises(RuntimeError, match="503"):
        arrived(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}").events()


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(n) for n in range(1, 21)]
    assert (percentile(values, 0.95), percentile(values, 0.5), percentile([7.0], 0.95)) == (19.0, 10.0, 7.0)


def test_the_pace_is_counted_in_tokens_not_events() -> None:
    assert reply([1.0, 2.0, 3.0], tokens=5).tpot_s == 0.5
    assert reply([1.0, 2.0]).ttft_s == 1.0


def test_a_gap_counts_from_the_late_prompt_to_its_first_token() -> None:
    late = reply([20.0], asked_at=10.0)
    assert _worst_gap(reply([0.0, 7.0, 9.0, 12.0, 13.0, 21.0, 40.0]), late) == 7.0  # 13 until the late one's at 20
    assert _worst_gap(reply([0.0, 8.0, 9.5, 19.0]), late) == 9.5


def test_the_same_mark_gives_the_same_words() -> None:
    assert words("a", 30) == words("a", 30) != words("b", 30)


def receipt(name: str = "1") -> Receipt:
    return Receipt(name, "", dict(zip(FIELDS, ("ACME", "1/1/2020", "1 ROAD", "9.00"), strict=True)))


def answer(**fields: str) -> str:
    return json.dumps({**dict.fromkeys(FIELDS, ""), **fields})


def test_f1_forgives_case_and_spaces_only() -> None:
    assert field_f1({"1": answer(company="acme", date="1/1/2020", address="1  Road", total="9.00")}, [receipt()]) == 1.0
    half = field_f1({"1": answer(company="ACME", date="2/1/2020")}, [receipt()])
    assert half == pytest.approx(2 * 1 / (2 + 4))
    assert field_f1({"1": '{"company": "ACME'}, [receipt()]) == 0.0


def test_texts_differ_by_what_they_say() -> None:
    assert differing({"1": '{"company":"a","date":"","address":"","total":""}'}, {"1": answer(company="a")}) == 0
    assert differing({"1": answer(company="b")}, {"1": answer(company="a"), "2": answer()}) == 1


def test_receipts_are_read_line_by_line(tmp_path: Path) -> None:
    for folder in ("box", "key"):
        (tmp_path / folder).mkdir()
    box = "50,40,1,1,1,1,1,40,right, with comma\n5,42,1,1,1,1,1,1,left\n5,80,1,1,1,1,1,1,below\n"
    (tmp_path / "box" / "7.csv").write_text(box)
    (tmp_path / "key" / "7.json").write_text(json.dumps({"company": "ACME"}))
    (found,) = load(tmp_path, 5)
    assert found.text == "left  right, with comma\nbelow"
    assert found.truth == {"company": "ACME", "date": "", "address": "", "total": ""}
