"""The ledger's chain: each row is sealed with an HMAC over the row before it. Pure; keeping rows is left to others.

A changed row breaks its own seal, a missing one the seal of the next, and missing rows at the end are told by the head:
a sealed note of the last row that lies outside the table. Whoever holds the key can forge all of it; against that only
a head helps that was written down elsewhere (``gatehouse ledger verify --head``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.gate.records import LedgerCheck, LedgerRow

GENESIS: Final = "0" * 64
"""Stands for the row before the first."""
PLAIN_KEY: Final = b"gatehouse plain store"
"""While the store is not encrypted there is no secret: the chain then shows accidents, and changes by the careless."""
_CONTEXT: Final = b"gatehouse ledger 1\n"
_HEAD_CONTEXT: Final = b"gatehouse ledger head 1\n"


@dataclass(frozen=True, slots=True)
class Head:
    """The last row that was written, as noted outside the table."""

    seq: int
    mac: str
    remade_at: int = 0
    """The row at which a lost head was made anew; rows that were missing then cannot be known."""


def canonical(row: LedgerRow) -> bytes:
    """A row as bytes that are always the same, without its seal. Columns of later versions must not change these."""
    fields: dict[str, object] = {
        "at": float(row.at),
        "body_sha256": row.body_sha256,
        "bytes_in": row.bytes_in,
        "bytes_out": row.bytes_out,
        "completion_tokens": row.completion_tokens,
        "consent": row.consent,
        "conversation_id": row.conversation_id,
        "cost_usd": None if row.cost_usd is None else float(row.cost_usd),
        "host": row.host,
        "label": None if row.label is None else row.label.value,
        "mode": None if row.mode is None else row.mode.value,
        "model": row.model,
        "outcome": row.outcome.value,
        "part": row.part,
        "prompt_tokens": row.prompt_tokens,
        "provider": row.provider,
        "purpose": row.purpose,
        "redactions": [list(pair) for pair in row.redactions],
        "request_id": row.request_id,
        "seq": row.seq,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def seal(key: bytes, previous_mac: str, row: LedgerRow) -> LedgerRow:
    """The row with its HMAC-SHA256 over the row before it and itself."""
    return replace(row, mac=_mac(key, _CONTEXT + previous_mac.encode("ascii") + b"\n" + canonical(row)))


def seal_head(key: bytes, head: Head) -> str:
    """Hex, over everything that the head says."""
    return _mac(key, _HEAD_CONTEXT + f"{head.seq} {head.mac} {head.remade_at}".encode("ascii"))


def check(rows: Iterable[LedgerRow], keys: Sequence[bytes], head: Head | None, expected_head: str = "") -> LedgerCheck:
    """Hold every row, in order, against its seal and the row before it, and the end against the head.

    ``keys`` in the order in which they were used: after the first row under a later one, none is under an earlier one.
    ``expected_head`` is the hex of a row's seal that was written down elsewhere, or its beginning.
    """
    previous, seq, met = GENESIS, 0, not expected_head
    left = list(keys)
    for row in rows:
        if row.seq != seq + 1:
            return _missing(seq + 1, row.seq - 1, seq)
        while left and not hmac.compare_digest(seal(left[0], previous, row).mac, row.mac):
            left.pop(0)
        if not left:
            return _bad(seq, row.seq, f"Row {row.seq} ({_about(row)}) is not what was written.")
        if head is not None and row.seq == head.seq and row.mac != head.mac:
            return _bad(seq, row.seq, f"Row {row.seq} ({_about(row)}) is not the one that was noted outside the table.")
        previous, seq = row.mac, row.seq
        met = met or row.mac.startswith(expected_head.lower())
    return _check_end(seq, previous, head, met, expected_head)


def _check_end(seq: int, mac: str, head: Head | None, met: bool, expected_head: str) -> LedgerCheck:
    if head is not None and head.seq > seq:
        told = _missing(seq + 1, head.seq, seq)
        return replace(told, sentence=told.sentence + " A store put back from an older copy lacks what followed it.")
    if head is None and seq:
        sentence = f"All {seq} rows are as written, but their head is missing, so more may have followed row {seq}."
        return LedgerCheck(False, seq, seq + 1, sentence, mac)
    if not met:
        sentence = f"All {seq} rows are as written, but none of them is the one with the head {expected_head[:16]}…."
        return LedgerCheck(False, seq, seq + 1, sentence, mac)
    if not seq:
        return LedgerCheck(True, 0, None, "The ledger is empty.", "")
    sentence = f"All {seq} rows are as written." if seq > 1 else "The one row is as written."
    if head is not None and head.remade_at:
        sentence += f" The head was lost before row {head.remade_at}; whether rows were missing there is not known."
    return LedgerCheck(True, seq, None, sentence, mac)


def _missing(first: int, last: int, good: int) -> LedgerCheck:
    which = f"Row {first} is" if first >= last else f"Rows {first} to {last} are"
    return LedgerCheck(False, good, first, f"{which} missing.")


def _bad(good: int, seq: int, sentence: str) -> LedgerCheck:
    return LedgerCheck(False, good, seq, sentence)


def _about(row: LedgerRow) -> str:
    return f"{row.purpose} to {row.host}, {row.part}"


def _mac(key: bytes, text: bytes) -> str:
    return hmac.new(key, text, hashlib.sha256).hexdigest()
