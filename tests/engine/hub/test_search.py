"""Searching a hub: what is asked, what comes back, what is sifted here."""

from __future__ import annotations

from datetime import date

import pytest

from engine.errors import HubError
from engine.hub.client import HubClient
from engine.hub.search import SearchWish, search
from tests.engine.hub.conftest import NoWait
from tests.hub_double import HubDouble, Page, Status


@pytest.fixture(autouse=True)
def _shelves(hub: HubDouble) -> None:
    files = {"m-Q4_K_M.gguf": b"GGUF", "m-Q8_0.gguf": b"GGUF", "mmproj-F16.gguf": b"GGUF"}
    tags = ("gguf", "license:mit")
    facts = {"total": 8_000_000_000, "architecture": "qwen3", "context_length": 40_960}
    hub.add("big/llama-GGUF", files, downloads=500, licence="mit", tags=tags, gguf=facts)
    hub.add("big/qwen-GGUF", files, downloads=900, gguf=facts | {"total": 30_000_000_000})
    hub.add("small/qwen-GGUF", {"a-Q4_0-00001-of-00002.gguf": b"GGUF"}, downloads=5, gated=True)
    hub.add("small/qwen", {"model.safetensors": b"x"}, tags=("safetensors",))


def names(client: HubClient, halt: NoWait, wish: SearchWish) -> list[str]:
    return [found.repo for found in search(client, wish, halt)]


def test_a_repository_is_told_with_its_facts(client: HubClient, halt: NoWait) -> None:
    found = search(client, SearchWish(words="llama"), halt)
    assert len(found) == 1
    entry = found[0]
    assert (entry.repo, entry.downloads, entry.licence, entry.gated) == ("big/llama-GGUF", 500, "mit", False)
    assert (entry.parameters, entry.architecture, entry.context_tokens) == (8_000_000_000, "qwen3", 40_960)
    assert entry.quantizations == ("Q4_K_M", "Q8_0")
    assert entry.updated_on == date(2026, 5, 1)
    assert entry.task == "text-generation"


def test_filters(client: HubClient, halt: NoWait) -> None:
    assert names(client, halt, SearchWish()) == ["big/qwen-GGUF", "big/llama-GGUF", "small/qwen-GGUF"]
    assert names(client, halt, SearchWish(owner="small")) == ["small/qwen-GGUF"]
    assert names(client, halt, SearchWish(licence="mit")) == ["big/llama-GGUF"]
    assert names(client, halt, SearchWish(words="qwen", with_gated=False)) == ["big/qwen-GGUF"]
    assert names(client, halt, SearchWish(limit=1)) == ["big/qwen-GGUF"]
    assert names(client, halt, SearchWish(most_parameters=10**10)) == ["big/llama-GGUF"]
    assert names(client, halt, SearchWish(least_parameters=10**10)) == ["big/qwen-GGUF"]
    assert names(client, halt, SearchWish(words="nothing of the kind")) == []


def test_incomplete_models_offer_no_quantization(client: HubClient, halt: NoWait) -> None:
    (entry,) = search(client, SearchWish(owner="small"), halt)
    assert entry.quantizations == ()
    assert entry.parameters is None
    assert entry.gated


def test_question_is_put_as_the_hub_wants_it(hub: HubDouble, client: HubClient, halt: NoWait) -> None:
    search(client, SearchWish(words=" qwen ", order="updated", licence="mit", task="text-generation"), halt)
    query = hub.seen[0].query
    assert query["search"] == ["qwen"]
    assert query["filter"] == ["gguf", "license:mit"]
    assert query["sort"] == ["lastModified"]
    assert query["pipeline_tag"] == ["text-generation"]
    assert "siblings" in query["expand"]


def test_a_bad_answer_is_named(hub: HubDouble, client: HubClient, halt: NoWait) -> None:
    for fault, code in ((Page(), "wrong_answer"), (Status(503), "server_error")):
        hub.misbehave(fault, where="api", forever=True)
        with pytest.raises(HubError) as caught:
            search(client, SearchWish(), halt)
        assert caught.value.code == code
        hub.behave()
