"""The bounded reader: what it gives back, and the sentence for everything that can be wrong with a file."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ModelFileError
from engine.gguf.quants import TENSOR_TYPES
from engine.gguf.reader import Array, read_raw_header
from tests.engine.gguf.written import (
    ARRAY,
    BOOL,
    F32,
    F32_TYPE,
    F64,
    I8,
    I16,
    I32,
    I64,
    Q4_0_TYPE,
    Q4_K_TYPE,
    STRING,
    U8,
    U16,
    U32,
    U64,
    Entry,
    TensorSpec,
    Written,
    facts,
    text,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


_RANGES = {U8: 8, U16: 16, U32: 32, U64: 64}
_SIGNED = {I8: 8, I16: 16, I32: 32, I64: 64}
_keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
_values = st.one_of(
    *[st.tuples(st.just(kind), st.integers(0, 2**bits - 1)) for kind, bits in _RANGES.items()],
    *[st.tuples(st.just(kind), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)) for kind, bits in _SIGNED.items()],
    st.tuples(st.just(F32), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(F64), st.floats(allow_nan=False)),
    st.tuples(st.just(BOOL), st.booleans()),
    st.tuples(st.just(STRING), st.text(st.characters(exclude_categories=("Cs",)), max_size=200)),
)
_tensors = st.lists(
    st.tuples(_keys, st.lists(st.integers(1, 6), max_size=3), st.sampled_from([F32_TYPE, Q4_0_TYPE, Q4_K_TYPE])),
    max_size=6,
    unique_by=lambda row: row[0],
)


@settings(max_examples=150, deadline=None)
@given(
    entries=st.dictionaries(_keys.filter(lambda key: key != "general.alignment"), _values, max_size=8),
    rows=_tensors,
    exponent=st.integers(0, 8),
)
def test_everything_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    entries: dict[str, tuple[int, object]],
    rows: list[tuple[str, list[int], int]],
    exponent: int,
) -> None:
    alignment = 2**exponent
    first = {Q4_0_TYPE: 32, Q4_K_TYPE: 256, F32_TYPE: 1}
    tensors = [TensorSpec(name, (first[kind], *dims), kind) for name, dims, kind in rows]
    written = Written(
        [
            *(Entry(key, kind, value) for key, (kind, value) in entries.items()),
            Entry("general.alignment", U32, alignment),
        ],
        tensors,
        alignment=alignment,
    )
    path = tmp_path_factory.mktemp("round") / "model.gguf"
    path.write_bytes(written.encode())
    raw = read_raw_header(path)
    assert {key: value for key, value in raw.metadata.items() if key != "general.alignment"} == {
        key: value for key, (_, value) in entries.items()
    }
    assert [(t.name, t.dimensions, t.type.id, t.bytes) for t in raw.tensors] == [
        (spec.name, spec.dimensions, spec.kind, spec.size) for spec in tensors
    ]
    assert all(tensor.offset % alignment == 0 for tensor in raw.tensors)
    if raw.tensors:
        last = raw.tensors[-1]
        assert raw.data_offset + last.offset + last.bytes <= raw.file_bytes


def test_short_arrays_are_kept_and_long_ones_counted(file: Path) -> None:
    words = [f"word {index}" for index in range(5_000)]
    entries = [
        *facts(),
        Entry("heads", ARRAY, [4, 0, 4], U32),
        Entry("flags", ARRAY, [True, False], BOOL),
        Entry("words", ARRAY, words, STRING),
        Entry("few words", ARRAY, words[:3], STRING),
        Entry("scores", ARRAY, [0.5] * 5_000, F32),
        Entry("after", U32, 7),
    ]
    file.write_bytes(Written(entries).encode())
    metadata = read_raw_header(file).metadata
    assert metadata["heads"] == Array(3, (4, 0, 4))
    assert metadata["flags"] == Array(2, (True, False))
    assert metadata["words"] == Array(5_000, None)
    assert metadata["few words"] == Array(3, ("word 0", "word 1", "word 2"))
    assert metadata["scores"] == Array(5_000, None)
    assert metadata["after"] == 7


def test_header_longer_than_one_chunk(file: Path) -> None:
    # Texts that straddle every chunk boundary of the reader, some longer than a chunk.
    words = ["x" * (index % 7_919) for index in range(4_200)] + ["y" * 700_000]
    entries = [*facts(), Entry("words", ARRAY, words, STRING), Entry("long", STRING, "z" * 900_000), Entry("n", U8, 9)]
    file.write_bytes(Written(entries).encode())
    metadata = read_raw_header(file).metadata
    assert metadata["words"] == Array(len(words), None)
    assert metadata["long"] == "z" * 900_000
    assert metadata["n"] == 9


def test_version_two_is_read(file: Path) -> None:
    file.write_bytes(Written(version=2).encode())
    assert read_raw_header(file).version == 2


def test_last_tensor_may_be_unpadded(file: Path) -> None:
    written = Written(tensors=(TensorSpec("a", (8,)), TensorSpec("b", (3,))))
    file.write_bytes(written.but(data_bytes=32 + 12).encode())
    assert len(read_raw_header(file).tensors) == 2


def test_fingerprint_changes_with_header_and_length(file: Path, tmp_path: Path) -> None:
    seen = set()
    for number, written in enumerate(
        (
            Written(),
            Written(entries=facts(context_length=65)),
            Written(tensors=(TensorSpec("token_embd.weight", (32, 5)),)),
            Written(tensors=(TensorSpec("token_embd.weight", (7, 1)),), data_bytes=28),
            Written(tensors=(TensorSpec("token_embd.weight", (7, 1)),), data_bytes=32),
        )
    ):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(written.encode())
        seen.add(read_raw_header(path).fingerprint)
    assert len(seen) == 5
    file.write_bytes(Written().encode())
    assert read_raw_header(file).fingerprint in seen


BASE = Written()
_TWO = (TensorSpec("a", (32,)), TensorSpec("b", (32,)))
_BIG = 2**40

MUTILATED: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "not_gguf", "model.gguf is empty."),
    "short": (b"GGUF\x03\0\0\0", "truncated", "it ends after 8 bytes"),
    "text": (b"Once upon a time there was a model", "not_gguf", "does not start with the letters GGUF"),
    "web page": (b"<!DOCTYPE html><html>404 Not Found", "not_gguf", "but a web page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "not_gguf", "a pointer left by Git LFS"),
    "zip": (b"PK\x03\x04" + bytes(40), "not_gguf", "a ZIP archive or a PyTorch model"),
    "safetensors": (struct.pack("<Q", 400) + b'{"__metadata__":{}}' + bytes(40), "not_gguf", "safetensors format"),
    "old ggml": (b"lmgg" + bytes(40), "not_gguf", "the old GGML format"),
    "version 1": (BASE.but(version=1).encode(), "unsupported", "GGUF version 1"),
    "version 9": (BASE.but(version=9).encode(), "unsupported", "GGUF version 9"),
    "version 0": (BASE.but(version=0).encode(), "unsupported", "GGUF version 0"),
    "big endian": (BASE.but(version=3 << 24).encode(), "unsupported", "big-endian"),
    "too many entries": (BASE.but(entry_count=_BIG).encode(), "damaged", "1,099,511,627,776 metadata entries"),
    "too many tensors": (BASE.but(tensor_count=_BIG).encode(), "damaged", "1,099,511,627,776 tensors"),
    "one entry too many": (BASE.but(entry_count=6).encode(), "damaged", "a list claims|unknown type|bytes long"),
    "duplicate key": (
        BASE.but(entries=[*facts(), Entry("llama.block_count", U32, 1)]).encode(),
        "damaged",
        "llama.block_count appears twice",
    ),
    "nameless entry": (BASE.but(entries=[*facts(), Entry("", U32, 1)]).encode(), "damaged", "no readable name"),
    "key is not text": (
        BASE.encode().replace(b"llama.block_count", b"llama.block\xff\xfe\xff\xfe\xff\xfe"),
        "damaged",
        "metadata entry 1 is not text",
    ),
    "key too long": (
        BASE.but(entries=[*facts(), Entry("k" * 1_025, U32, 1)]).encode(),
        "damaged",
        "metadata entry 5 is 1,025 bytes long, and 1,024 are allowed",
    ),
    "text too long": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IQ", STRING, 2**21) + bytes(2**21),
        "damaged",
        "entry a is 2,097,152 bytes long",
    ),
    "text of 2^64 bytes": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IQ", STRING, 2**64 - 1),
        "damaged",
        "18,446,744,073,709,551,615 bytes long",
    ),
    "unknown value type": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IQ", 13, 0),
        "damaged",
        "entry a has the unknown type 13",
    ),
    "unknown element type": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", ARRAY, 99, 0),
        "damaged",
        "list a has the unknown type 99",
    ),
    "list of lists": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", ARRAY, ARRAY, 0),
        "unsupported",
        "a list of lists",
    ),
    "huge list": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", ARRAY, U64, 2**61),
        "damaged",
        "list a claims 2,305,843,009,213,693,952 elements",
    ),
    "list beyond the end": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", ARRAY, U64, 1_000_000) + bytes(99),
        "truncated",
        "header ends in the middle",
    ),
    "word beyond the end": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQQ", ARRAY, STRING, 9_000, 1_000_000),
        "truncated",
        "header ends in the middle",
    ),
    "word too long": (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQQ", ARRAY, STRING, 9_000, 2**40),
        "damaged",
        "list a holds a text of 1,099,511,627,776 bytes",
    ),
    "alignment is a text": (
        BASE.but(entries=[*facts(), Entry("general.alignment", STRING, "32")]).encode(),
        "damaged",
        "alignment is not a number",
    ),
    "alignment of 24": (
        BASE.but(entries=[*facts(), Entry("general.alignment", U32, 24)]).encode(),
        "damaged",
        "alignment is 24, which is not a power of two",
    ),
    "alignment of 0": (
        BASE.but(entries=[*facts(), Entry("general.alignment", U32, 0)]).encode(),
        "damaged",
        "alignment is 0",
    ),
    "tensor name too long": (
        BASE.but(tensors=(TensorSpec("t" * 64, (4,)),)).encode(),
        "damaged",
        "tensor 0 is 64 bytes",
    ),
    "nameless tensor": (BASE.but(tensors=(TensorSpec("", (4,)),)).encode(), "damaged", "tensor 0 has no readable name"),
    "duplicate tensor": (
        BASE.but(tensors=(TensorSpec("a", (8,)), TensorSpec("a", (8,)))).encode(),
        "damaged",
        "tensor a appears twice",
    ),
    "five dimensions": (
        BASE.but(tensors=(TensorSpec("a", (1, 1, 1, 1, 1)),)).encode(),
        "damaged",
        "5 dimensions, and 4 are allowed",
    ),
    "dimension of 0": (BASE.but(tensors=(TensorSpec("a", (4, 0)),)).encode(), "damaged", "dimension of 0"),
    "elements overflow": (
        BASE.but(tensors=(TensorSpec("a", (2**32, 2**32)),), data_bytes=0).encode(),
        "damaged",
        "more elements than 64 bits can count",
    ),
    "bytes overflow": (
        BASE.but(tensors=(TensorSpec("a", (2**62,)),), data_bytes=0).encode(),
        "damaged",
        "more bytes than 64 bits can count",
    ),
    "unknown tensor type": (BASE.but(tensors=(TensorSpec("a", (4,), 77),)).encode(), "damaged", "unknown type 77"),
    "removed tensor type": (
        BASE.but(tensors=(TensorSpec("a", (4,), 31),)).encode(),
        "unsupported",
        "Q4_0_4_4, which llama.cpp no longer reads",
    ),
    "rows do not divide": (
        BASE.but(tensors=(TensorSpec("a", (33,), Q4_0_TYPE),)).encode(),
        "damaged",
        "do not divide into blocks of Q4_0",
    ),
    "misaligned": (
        BASE.but(tensors=(_TWO[0], TensorSpec("b", (32,), offset=132))).encode(),
        "damaged",
        "tensor b is not aligned to 32 bytes",
    ),
    "overlap": (
        BASE.but(tensors=(_TWO[0], TensorSpec("b", (32,), offset=64))).encode(),
        "damaged",
        "tensor b overlaps",
    ),
    "gap": (
        BASE.but(tensors=(_TWO[0], TensorSpec("b", (32,), offset=256))).encode(),
        "damaged",
        "gap of 128 bytes lies before the tensor b",
    ),
    "offset of 2^63": (
        BASE.but(tensors=(_TWO[0], TensorSpec("b", (32,), offset=2**63))).encode(),
        "damaged",
        "lies before the tensor b",
    ),
    "truncated data": (BASE.but(data_bytes=500).encode(), "truncated", "so 12 are missing"),
    "no data": (BASE.encode()[: len(BASE.header())], "truncated", "are missing"),
    "over-long": (BASE.encode() + b"more", "overlong", "4 bytes after the last tensor belong to nothing"),
}


@pytest.mark.parametrize("fault", MUTILATED)
def test_each_fault_has_its_sentence(fault: str, file: Path) -> None:
    raw, code, sentence = MUTILATED[fault]
    file.write_bytes(raw)
    with pytest.raises(ModelFileError) as caught:
        read_raw_header(file)
    assert caught.value.code == code
    assert re.search(sentence, caught.value.sentence), caught.value.sentence
    assert caught.value.sentence.startswith("model.gguf ")
    assert caught.value.sentence.endswith(".")
    assert "\n" not in caught.value.sentence


def test_a_file_cut_anywhere_is_refused(file: Path) -> None:
    whole = Written(entries=[*facts(), Entry("words", ARRAY, ["a", "bc"] * 3_000, STRING)]).encode()
    for length in {*range(400), *range(0, len(whole), 997), len(whole) - 1}:
        file.write_bytes(whole[:length])
        with pytest.raises(ModelFileError) as caught:
            read_raw_header(file)
        assert caught.value.code in ("truncated", "not_gguf"), length


def test_memory_for_metadata_is_bounded(file: Path) -> None:
    entries = [Entry(f"key {index}", STRING, "x" * 1_000_000) for index in range(6)]
    file.write_bytes(Written(entries).encode())
    with pytest.raises(ModelFileError, match=r"more than the allowed 16,777,216 bytes of memory"):
        read_raw_header(file)


def test_header_length_is_bounded(tmp_path: Path) -> None:
    # A sparse file: it claims texts of a mebibyte each, and costs no disk.
    file = tmp_path / "endless.gguf"
    start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", ARRAY, STRING, 4_000_000)
    with file.open("wb") as out:
        out.write(start)
        for index in range(300):
            out.seek(len(start) + index * (2**20 + 8))
            out.write(struct.pack("<Q", 2**20))
        out.truncate(2**30)
    with pytest.raises(ModelFileError, match="header is longer than the allowed"):
        read_raw_header(file)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as caught:
        read_raw_header(tmp_path / "gone.gguf")
    assert caught.value.code == "unreadable"
    assert "No such file" in caught.value.sentence
    with pytest.raises(ModelFileError, match="not an ordinary file"):
        read_raw_header(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    with pytest.raises(ModelFileError, match="not an ordinary file"):
        read_raw_header(pipe)


def test_rows_of_every_type_divide(file: Path) -> None:
    for kind in TENSOR_TYPES.values():
        spec = TensorSpec("a", (kind.block_elements * 3, 2), kind.id)
        written = Written(tensors=(spec,), data_bytes=-(-kind.block_bytes * 6 // 32) * 32)
        file.write_bytes(written.encode())
        assert read_raw_header(file).tensors[0].bytes == kind.block_bytes * 6
