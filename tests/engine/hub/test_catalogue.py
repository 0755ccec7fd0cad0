"""The list that ships is sound, entry by entry; a list that is not is refused; a hub is held against it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from engine.errors import HubError
from engine.hub.catalogue import Catalogue, CatalogueModel, Variant, load_catalogue, pinned, source_of
from engine.hub.client import HubClient
from engine.hub.repository import parse_source, quantization_of
from tests.engine.hub.conftest import NoWait
from tests.engine.hub.tiny_gguf import tiny_gguf
from tests.hub_double import HubDouble, HubFile

CATALOGUE = load_catalogue()
VARIANTS = [(model, variant) for model in CATALOGUE.models for variant in model.variants]
OF_THE_ISSUE = ["mixtral-8x7b", "mixtral-8x22b", "llama-3.3-70b", "qwen2.5-32b", "qwen3-30b-a3b", "qwen3.6-35b-a3b"]
OF_THE_ISSUE += ["gpt-oss-20b", "gpt-oss-120b", "deepseek-v2-lite-chat", "deepseek-v3", "deepseek-r1"]
OF_THE_ISSUE += ["glm-4.7-flash", "kimi-k2"]
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def test_list_spans_the_sizes_and_kinds() -> None:
    assert 55 <= len(CATALOGUE.models) <= 75
    sizes = [model.parameters for model in CATALOGUE.models if model.parameters]
    assert min(sizes) <= 135_000_000
    assert max(sizes) >= 1_000_000_000_000
    assert sum(model.kind == "moe" for model in CATALOGUE.models) >= 20
    assert {task for model in CATALOGUE.models for task in model.tasks} == {
        "chat",
        "code",
        "reasoning",
        "vision",
        "extraction",
        "embedding",
    }
    assert all(CATALOGUE.find(name) for name in OF_THE_ISSUE)


@pytest.mark.parametrize("model", CATALOGUE.models, ids=lambda model: model.id)
def test_a_model_is_consistent_with_itself(model: CatalogueModel) -> None:
    assert model.tasks
    assert (model.kind == "embedding") == ("embedding" in model.tasks)
    if model.parameters and model.active_parameters:
        assert model.active_parameters <= model.parameters
    shape = model.geometry
    if model.kind == "moe" and shape.experts:
        assert shape.experts_used is None or shape.experts_used < shape.experts
        assert shape.expert_ffn or model.architecture in ("granitehybrid", None)
    else:
        assert shape.experts is None
    assert (shape.kv_lora_rank is not None) == (model.attention == "mla")
    for catch in model.catches:
        assert catch[0].isupper()
        assert catch.endswith(".")
    for variant in model.variants:
        assert_names_its_files_completely(model, variant)


def assert_names_its_files_completely(model: CatalogueModel, variant: Variant) -> None:
    assert parse_source(variant.repo).repo == variant.repo
    assert quantization_of(variant.files[0].path).removeprefix("UD-") in variant.quantization
    shards = [match for file in variant.files if (match := _SHARD.search(file.path))]
    if len(variant.files) > 1:
        assert [int(match[1]) for match in shards] == list(range(1, len(variant.files) + 1))
        assert {int(match[2]) for match in shards} == {len(variant.files)}
    if variant.exact_bytes is not None:
        assert variant.about_bytes == variant.exact_bytes
    if variant.about_bytes is not None and model.parameters:
        # One to nine bits a weight (sixteen for vectors), and makers round the counts down: beyond that it would be
        # another model's file.
        most = 17 if model.kind == "embedding" else 11
        assert 0.9 < 8 * variant.about_bytes / model.parameters < most, variant.quantization


def test_variants_are_sorted_and_hashes_unique() -> None:
    for model in CATALOGUE.models:
        sizes = [variant.about_bytes or 0 for variant in model.variants]
        assert sizes == sorted(sizes), model.id
    hashes = [file.sha256 for _, variant in VARIANTS for file in variant.files if file.sha256]
    assert len(hashes) == len(set(hashes)) > 50


def test_known_truths_of_mixtral() -> None:
    mixtral = CATALOGUE.find("Mixtral-8x7B".lower())
    assert mixtral is not None
    variant = mixtral.variant()
    assert variant.exact_bytes == 28_448_468_384
    assert variant.is_pinned
    assert mixtral.parameters == 46_702_792_704
    digest = variant.files[0].sha256
    assert digest is not None
    assert CATALOGUE.of_file(digest) == (mixtral, variant)
    assert CATALOGUE.of_file("0" * 64) is None


def test_lookups() -> None:
    by_name = CATALOGUE.find("GPT-OSS 20B")
    assert by_name is not None
    assert by_name.id == "gpt-oss-20b"
    assert CATALOGUE.find("no such model") is None
    assert {model.kind for model in CATALOGUE.for_task("embedding")} == {"embedding"}
    assert by_name.variant().quantization == "MXFP4"
    with pytest.raises(HubError, match="It knows: MXFP4"):
        by_name.variant("Q9")


def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((resources.files("resources") / "catalogue.json").read_bytes())
    content["models"] = content["models"][:2]
    return content


MISTAKES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another form": lambda c: c.update(form=2),
    "an unknown entry": lambda c: c["models"][0].update(speed=3),
    "a missing entry": lambda c: c["models"][0].pop("licence"),
    "a text for a count": lambda c: c["models"][0].update(parameters="135M"),
    "a negative count": lambda c: c["models"][0].update(context_tokens=-1),
    "yes for a count": lambda c: c["models"][0].update(parameters=True),
    "an unknown task": lambda c: c["models"][0]["tasks"].append("juggling"),
    "an unknown kind": lambda c: c["models"][0].update(kind="sparse"),
    "an unknown measure": lambda c: c["models"][0]["geometry"].update(wings=2),
    "the same id twice": lambda c: c["models"][1].update(id=c["models"][0]["id"]),
    "no variants": lambda c: c["models"][0].update(variants=[]),
    "a short hash": lambda c: c["models"][0]["variants"][0]["files"][0].update(sha256="abc"),
    "a branch for a commit": lambda c: c["models"][0]["variants"][0].update(revision="main"),
    "an empty catch": lambda c: c["models"][0]["catches"].append(" "),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_list_with_a_mistake_is_refused(mistake: str, tmp_path: Path) -> None:
    content = _content()
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps(content))
    assert len(load_catalogue(path).models) == 2
    MISTAKES[mistake](content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"catalogue|smollm2|has "):
        load_catalogue(path)


def _catalogue_of(tmp_path: Path, file: HubFile, size: int | None) -> Catalogue:
    content = _content()
    variant = content["models"][0]["variants"][0]
    variant["files"][0] |= {"size_bytes": size, "sha256": file.sha256}
    path = tmp_path / "one.json"
    path.write_text(json.dumps(content))
    return load_catalogue(path)


@pytest.mark.parametrize("difference", ["none", "hash", "length", "files"])
def test_a_hub_is_held_against_the_list(
    hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path, difference: str
) -> None:
    right, other = HubFile(tiny_gguf()), HubFile(tiny_gguf(seed=2))
    catalogue = _catalogue_of(tmp_path, right, right.size + (1 if difference == "length" else 0))
    variant = catalogue.models[0].variants[0]
    path = variant.files[0].path
    if difference == "files":
        path = path.replace(".gguf", "-00001-of-00001.gguf")
    hub.add(variant.repo, {path: other if difference == "hash" else right, "README.md": b"#"})
    source = source_of(variant)
    repository = client.repository(source.repo, source.revision, halt)
    if difference == "none":
        model = pinned(variant, repository)
        assert model.pinned
        assert model.files[0].sha256 == right.sha256
    else:
        with pytest.raises(HubError) as caught:
            pinned(variant, repository)
        assert caught.value.code == ("no_such_file" if difference == "files" else "hash_disagrees")
