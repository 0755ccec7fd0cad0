"""Which models a repository's files make, and which of them a wish means."""

from __future__ import annotations

import pytest

from engine.errors import HubError
from engine.hub.repository import (
    ModelSource,
    RemoteFile,
    Repository,
    choose,
    models_of,
    parse_source,
    quantization_of,
)


def repository(*paths: str) -> Repository:
    files = tuple(RemoteFile(path, 10, "a" * 64) for path in paths)
    return Repository("owner/name", "c0ffee", "main", files, False, "mit", 5)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("owner/name", ModelSource("owner/name")),
        ("owner/name:Q4_K_M", ModelSource("owner/name", "main", "Q4_K_M")),
        ("owner/name@v1:sub/file.gguf", ModelSource("owner/name", "v1", "sub/file.gguf")),
        (" owner/na.me-2@abc ", ModelSource("owner/na.me-2", "abc")),
    ],
)
def test_source_is_read(text: str, source: ModelSource) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize("text", ["", "name", "owner/name/more", "../x", "owner/..", "a/b@../x", "http://x/y", "a b/c"])
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(HubError) as caught:
        parse_source(text)
    assert caught.value.code == "bad_source"


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"),
        ("model-UD-Q4_K_XL", "UD-Q4_K_XL"),
        ("model.i1-IQ2_XXS", "IQ2_XXS"),
        ("gpt-oss-20b-mxfp4", "MXFP4"),
        ("gpt-oss-20b-MXFP4_MOE", "MXFP4_MOE"),
        ("model.Q8_0", "Q8_0"),
        ("tiny-f16", "F16"),
        ("Kimi-UD-TQ1_0", "UD-TQ1_0"),
        ("Q3-model-BF16", "BF16"),
        ("IQ4_NL-model", "IQ4_NL"),
        ("plain", ""),
        ("SEQ4_K_Mart", ""),
    ],
)
def test_quantization_is_read_from_the_name(name: str, quantization: str) -> None:
    assert quantization_of(name.removesuffix(".gguf")) == quantization


def test_shards_are_one_model_and_by_products_are_none() -> None:
    found = models_of(
        repository(
            "README.md",
            "mmproj-F16.gguf",
            "imatrix.gguf",
            "Q8_0/big-Q8_0-00002-of-00002.gguf",
            "Q8_0/big-Q8_0-00001-of-00002.gguf",
            "small-Q4_0.gguf",
            "Q2/half-Q2_K-00001-of-00002.gguf",
        )
    )
    assert [(model.name, model.quantization, model.size_bytes) for model in found] == [
        ("big-Q8_0", "Q8_0", 20),
        ("small-Q4_0", "Q4_0", 10),
    ]
    assert [file.path[-10:] for file in found[0].files] == ["00002.gguf", "00002.gguf"]
    assert "00001-of" in found[0].files[0].path


@pytest.mark.parametrize("wanted", ["m-Q5_K_M.gguf", "M-q5_k_m", "q5_k_m", "Q5_K"])
def test_a_wish_may_be_file_name_or_quantization(wanted: str) -> None:
    assert choose(repository("m-Q4_K_M.gguf", "m-Q5_K_M.gguf"), wanted).name == "m-Q5_K_M"


def test_without_a_wish_four_bits_are_taken() -> None:
    assert choose(repository("m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q2_K.gguf"), None).quantization == "Q4_K_M"


@pytest.mark.parametrize(
    ("paths", "wanted", "code", "says"),
    [
        (("model.safetensors", "config.json"), None, "no_gguf", "safetensors"),
        (("README.md",), "Q4_0", "no_gguf", "none of its 1 files"),
        (("m-Q4_0.gguf", "mmproj-m-F16.gguf"), "mmproj-m-F16.gguf", "not_a_model", "part or a by-product"),
        (("m-Q4_0.gguf",), "Q9_9", "no_such_file", "Q9_9"),
        (("a-Q4_0.gguf", "b-Q4_0.gguf"), "Q4_0", "ambiguous", "a-Q4_0, b-Q4_0"),
        (("m-Q4_0-00001-of-00003.gguf", "m-Q4_0-00003-of-00003.gguf"), "Q4_0", "shard_missing", "number 2"),
        (("m-Q4_0-00001-of-00003.gguf",), "m-Q4_0-00001-of-00003.gguf", "shard_missing", "number 2, 3"),
        (("mmproj-F16.gguf",), None, "not_a_model", "no complete model"),
    ],
)
def test_what_cannot_be_had_is_named(paths: tuple[str, ...], wanted: str | None, code: str, says: str) -> None:
    with pytest.raises(HubError) as caught:
        choose(repository(*paths), wanted)
    assert caught.value.code == code
    assert says in str(caught.value)
