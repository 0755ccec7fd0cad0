"""What is drawn from the catalogue's facts, against the header of the same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.fit.facts import ModelFacts, facts_of
from engine.fit.footprint import CacheShape, kv_bytes, recurrent_bytes
from engine.fit.sketched import FROM_THE_CATALOGUE, SHAPE_UNKNOWN, sketch_facts
from engine.gguf.split import read_model
from engine.hub.catalogue import CatalogueModel, KnownFile, Variant, load_catalogue
from tests.large_header import make_large_header

CATALOGUE = load_catalogue()
SHAPE = CacheShape(8_192, 1, 512, "f16")


def _known(name: str) -> CatalogueModel:
    model = CATALOGUE.find(name)
    assert model is not None
    return model


def _parts(facts: ModelFacts) -> tuple[int, int, int]:
    """Experts, all else in the layers, output with what is copied for it."""
    weights = facts.weights
    layers = sum(size.bytes for size in weights.layers)
    return sum(size.bytes for size in weights.experts), layers, weights.output.bytes + weights.tied.bytes


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen3-30b-a3b"])
def test_a_sketch_is_near_the_header(name: str, starter: Path, tmp_path: Path) -> None:
    header = read_model(starter if name == "smollm2-135m" else make_large_header(tmp_path / "large.gguf"))
    exact, model = facts_of(header), _known(name)
    file = KnownFile("a.gguf", header.file_bytes, None)
    drawn = sketch_facts(model, Variant("Q4_K_M", "a/b", None, header.file_bytes, (file,)))
    whole = header.weights_bytes
    # The file also holds the vocabulary, a few megabytes.
    assert drawn.weights.total == pytest.approx(exact.weights.total, rel=0.05 if whole < 1e9 else 0.005)
    for mine, real in zip(_parts(drawn), _parts(exact), strict=True):
        assert abs(mine - real) <= 0.05 * whole
    assert kv_bytes(drawn.memory, SHAPE) == kv_bytes(exact.memory, SHAPE)
    assert (drawn.n_layer, drawn.n_embd, drawn.n_expert, drawn.n_expert_used) == (
        exact.n_layer,
        exact.n_embd,
        exact.n_expert,
        exact.n_expert_used,
    )


@pytest.mark.parametrize("model", CATALOGUE.models, ids=lambda model: model.id)
def test_every_file_of_the_catalogue_can_be_drawn(model: CatalogueModel) -> None:
    for variant in model.variants:
        facts = sketch_facts(model, variant)
        assert facts.estimated[0] == FROM_THE_CATALOGUE
        if variant.about_bytes is not None:
            assert facts.weights.total == pytest.approx(variant.about_bytes, rel=0.001)
        assert kv_bytes(facts.memory, SHAPE) + recurrent_bytes(facts.memory, SHAPE) > 0
        experts = sum(size.bytes for size in facts.weights.experts)
        assert (experts > 0) == (model.kind == "moe")
        if experts:
            assert 0.5 * facts.weights.total < experts < facts.weights.total
            assert 0 < facts.n_expert_used <= facts.n_expert


@pytest.mark.parametrize(
    ("name", "bytes_each_token"),
    [
        ("mixtral-8x7b", 32 * 8 * 128 * 2 * 2),
        ("llama-3.3-70b", 80 * 8 * 128 * 2 * 2),
        ("deepseek-v3", 61 * 576 * 2),
        ("glm-4.7-flash", 47 * 576 * 2),
        ("qwen3.6-35b-a3b", 10 * 2 * 256 * 2 * 2),
        ("gpt-oss-20b", 12 * 8 * 64 * 2 * 2),
    ],
)
def test_keys_and_values_of_a_token(name: str, bytes_each_token: int) -> None:
    """Grouped heads, latent attention, hybrids and windows, each by its own count."""
    facts = sketch_facts(_known(name), _known(name).variant())
    longer = replace(SHAPE, n_ctx=16_384)
    assert kv_bytes(facts.memory, longer) - kv_bytes(facts.memory, SHAPE) == 8_192 * bytes_each_token


def test_the_state_of_a_hybrid_is_the_known_one() -> None:
    model = _known("qwen3.6-35b-a3b")
    facts = sketch_facts(model, model.variant())
    assert recurrent_bytes(facts.memory, SHAPE) == pytest.approx(65_863_680, rel=0.001)


def test_what_the_catalogue_lacks_is_said() -> None:
    model = _known("ministral-3-14b")
    assert SHAPE_UNKNOWN in sketch_facts(model, model.variant()).estimated
