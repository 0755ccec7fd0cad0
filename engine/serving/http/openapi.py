"""The API's own description, ``/openapi.json``, in OpenAPI 3.1. Pure.

Requests are in ``openapi_requests.py``, answers in ``openapi_answers.py``; here are paths, refusals and keys. A fuzzer
holds the worker to it (``tests/fuzz_serving``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.serving.http import openapi_answers as answers
from engine.serving.http import openapi_requests as requests
from engine.serving.http.not_here import EMBEDDING_PATHS, RERANK_PATHS
from engine.serving.http.openapi_requests import Limits
from engine.serving.http.openapi_shapes import JsonObject, reference, text

_VERSION: Final = "1"
_REFUSALS: Final = {
    400: "What was sent cannot be served; the sentence says why.",
    401: "The key is missing or wrong.",
    403: "The host or the origin is a stranger's.",
    404: "The model is not served here.",
    408: "The body did not arrive in time.",
    409: "The model that is loaded has nothing of the kind.",
    413: "The body is too large.",
    429: "As many requests as this worker takes are waiting; Retry-After says when to come back.",
    499: "The caller hung up.",
    500: "The model or the engine failed at this request.",
    503: "The worker is ending.",
}
_OF_READING: Final = (401, 403, 503)


@dataclass(frozen=True, slots=True)
class _Call:
    """One operation that takes a JSON body."""

    path: str
    summary: str
    request: Callable[[Limits], JsonObject]
    answer: str
    streams: bool = False
    anthropic: bool = False
    bare: bool = False
    """The body may be left out."""
    refusals: tuple[int, ...] = (400, 401, 403, 404, 408, 413, 429, 499, 500, 503)


_SCHEMAS: Final = {
    "Error": answers.ERROR,
    "AnthropicError": answers.ANTHROPIC_ERROR,
    "Chat": answers.CHAT,
    "Completion": answers.COMPLETION,
    "Response": answers.RESPONSE,
    "Message": answers.MESSAGE,
    "Counted": answers.COUNTED,
    "Embeddings": answers.EMBEDDINGS,
    "Ranking": answers.RANKING,
    "Model": answers.MODEL,
    "Models": answers.MODELS,
    "Health": answers.HEALTH,
    "Tokens": answers.TOKENS,
    "Content": answers.CONTENT,
    "Dropped": answers.DROPPED,
    "Trace": answers.TRACE,
    "Experts": answers.EXPERTS,
}

_BOTH: Final = (
    _Call("/detokenize", "Tokens to text", requests.detokenize, "Content"),
    _Call("/cache/drop", "Forget past conversations", requests.drop, "Dropped", bare=True),
)
_WRITING: Final = (
    _Call("/v1/chat/completions", "Answer a chat", requests.chat, "Chat", streams=True),
    _Call("/v1/completions", "Go on with a text", requests.completion, "Completion", streams=True),
    _Call("/v1/responses", "Answer items", requests.responses, "Response", streams=True),
    _Call("/v1/messages", "Answer messages", requests.messages, "Message", streams=True, anthropic=True),
    _Call("/v1/messages/count_tokens", "Count a prompt's tokens", requests.count, "Counted", anthropic=True),
    _Call("/tokenize", "Text or a chat to tokens", requests.tokenize, "Tokens"),
    *_BOTH,
)
_WATCH: Final = _Call(
    "/experts/watch",
    "Count the routers' picks from nothing, or stop",
    requests.watch,
    "Experts",
    refusals=(400, 401, 403, 408, 409, 413, 429, 503),
)
_TEXTS: Final = _Call("/tokenize", "Text to tokens", requests.tokenize_text, "Tokens")
_POOLING: Final = (
    *(_Call(path, "Texts to vectors", requests.embedding, "Embeddings") for path in EMBEDDING_PATHS),
    _TEXTS,
    *_BOTH,
)
_RANKING: Final = (
    *(_Call(path, "Score documents", requests.rerank, "Ranking") for path in RERANK_PATHS),
    _TEXTS,
    *_BOTH,
)


def describe_writer(limits: Limits, *, counts_experts: bool = False) -> JsonObject:
    """The document of a worker whose model writes. ``counts_experts``: it has experts to count."""
    reading = {"/trace": _read("The engine's last steps", "Trace")}
    if not counts_experts:
        return _document(limits, _WRITING, reading)
    reading["/experts"] = _read("Which experts the routers picked", "Experts")
    return _document(limits, (*_WRITING, _WATCH), reading)


def describe_pooler(limits: Limits, *, ranks: bool) -> JsonObject:
    """The document of a worker whose model makes vectors, or scores."""
    return _document(limits, _RANKING if ranks else _POOLING, {})


def _document(limits: Limits, calls: tuple[_Call, ...], more: JsonObject) -> JsonObject:
    paths = {call.path: {"post": _write(call, limits)} for call in calls}
    reading = {
        "/health": {"get": {**_get("Whether the worker lives", "Health", (403,)), "security": []}},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": {**_get("This document", None, _OF_READING)}},
        "/v1/models": _read("The one model that is served", "Models"),
        "/v1/models/{model}": {"get": _model(limits)},
        **more,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gatehouse worker",
            "version": _VERSION,
            "description": "One model on this machine, in the forms that OpenAI's and Anthropic's clients speak.",
        },
        "security": [{"bearer": []}, {"key": []}],
        "paths": {**paths, **reading},
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _write(call: _Call, limits: Limits) -> JsonObject:
    good: JsonObject = {"application/json": {"schema": reference(call.answer)}}
    if call.streams:
        good["text/event-stream"] = {}
    body = {"required": not call.bare, "content": {"application/json": {"schema": call.request(limits)}}}
    return {
        "summary": call.summary,
        "operationId": call.path.strip("/").replace("/", "_"),
        "requestBody": body,
        "responses": {"200": {"description": "Done.", "content": good}} | _refusals(call.refusals, call.anthropic),
    }


def _read(summary: str, answer: str) -> JsonObject:
    return {"get": _get(summary, answer, _OF_READING)}


def _get(summary: str, answer: str | None, refusals: tuple[int, ...]) -> JsonObject:
    shape = {"type": "object"} if answer is None else reference(answer)
    good = {"description": "Done.", "content": {"application/json": {"schema": shape}}}
    return {"summary": summary, "responses": {"200": good} | _refusals(refusals)}


def _model(limits: Limits) -> JsonObject:
    name = {"name": "model", "in": "path", "required": True, "schema": {"enum": [limits.model_id]}}
    return {**_get("The model by its name", "Model", (*_OF_READING, 404)), "parameters": [name]}


def _metrics() -> JsonObject:
    good = {"description": "Prometheus' text.", "content": {"text/plain": {"schema": text()}}}
    return {"summary": "Counters and gauges", "responses": {"200": good} | _refusals(_OF_READING)}


def _refusals(statuses: tuple[int, ...], anthropic: bool = False) -> JsonObject:
    shape = reference("AnthropicError" if anthropic else "Error")
    refusals: JsonObject = {}
    for status in statuses:
        refusals[str(status)] = {
            "description": _REFUSALS[status],
            "content": {"application/json": {"schema": shape}},
        }
    wait = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
    if "429" in refusals:
        refusals["429"]["headers"] = {"Retry-After": wait}
    return refusals
