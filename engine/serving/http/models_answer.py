"""The list of models in a shape that both OpenAI's and Anthropic's clients read. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from engine.errors import RequestError
from engine.serving.http.answers import JsonObject


def model_object(model_id: str, created: int, meta: dict[str, Any]) -> JsonObject:
    """One model: each protocol finds its own fields and passes over the other's. ``created``: seconds since 1970."""
    return {
        "id": model_id,
        "object": "model",
        "created": created,
        "owned_by": "gatehouse",
        "type": "model",
        "display_name": model_id,
        "created_at": datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": meta.get("n_ctx"),
        "meta": meta,
    }


def models_object(model: JsonObject) -> JsonObject:
    """The list of the one model that a worker serves."""
    return {"object": "list", "data": [model], "has_more": False, "first_id": model["id"], "last_id": model["id"]}


def pick_model(model: JsonObject, asked: str) -> JsonObject:
    """The model by its name. Raises: ``RequestError`` for another's."""
    if asked != model["id"]:
        raise RequestError(
            "model_not_found",
            f"The model {asked[:100]!r} is not served here.",
            f"This worker serves {model['id']!r}.",
            status=404,
            param="model",
        )
    return model
