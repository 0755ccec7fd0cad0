"""The API's document names what is served, and nothing else."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from openai import OpenAI

from engine.serving.http.openapi import describe_pooler, describe_writer
from engine.serving.http.openapi_requests import Limits

LIMITS = Limits("a-model", n_vocab=1000, n_choices=4, width=64)


def _references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(_references, part.values()))
    return set().union(*map(_references, part)) if isinstance(part, list) else set()


@pytest.mark.parametrize(
    "document",
    [describe_writer(LIMITS), describe_pooler(LIMITS, ranks=False), describe_pooler(LIMITS, ranks=True)],
    ids=["writes", "embeds", "ranks"],
)
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert _references(document) <= schemas
    ids = [
        call["operationId"] for path in document["paths"].values() for call in path.values() if "operationId" in call
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.native
def test_every_path_is_there_and_takes_what_it_says(http: httpx2.Client, client: OpenAI) -> None:
    document = http.get("/openapi.json").json()
    model = client.models.list().data[0].id
    for path, operations in document["paths"].items():
        for method in ("get", "post"):
            answer = http.request(method.upper(), path.replace("{model}", model), json={} if method == "post" else None)
            assert (answer.status_code == 405) == (method not in operations), (method, path)
            assert answer.status_code != 404
            if answer.status_code == 405:
                assert set(answer.headers["Allow"].lower().split(", ")) - {"head"} == set(operations)
