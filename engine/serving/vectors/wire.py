"""Embedding and rerank calls as records, and their answers: OpenAI's shape for vectors, Jina's and Cohere's for scores.

Pure. How one field is read is in ``wire_fields.py``; tokens and rows are the API's.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.llama.embedder import Vector
from engine.serving.http.answers import JsonObject
from engine.serving.openai.wire_fields import MAX_WHOLE, parse_object, refuse

MAX_INPUTS: Final = 2048
"""Texts of one call, as OpenAI has it."""
MAX_DOCUMENTS: Final = 1024

Text = str | tuple[int, ...]
"""A text, or its tokens."""


@dataclass(frozen=True, slots=True)
class EmbeddingCall:
    """``POST /v1/embeddings``."""

    model: str
    inputs: tuple[Text, ...]
    dimensions: int | None
    """Keep so many numbers of each vector; only sensible for models trained so (Matryoshka)."""
    as_base64: bool


@dataclass(frozen=True, slots=True)
class RerankCall:
    """``POST /v1/rerank``."""

    model: str
    query: str
    documents: tuple[str, ...]
    top_n: int | None
    return_documents: bool


def parse_embedding(body: bytes) -> EmbeddingCall:
    """An embedding request. Raises: ``RequestError``."""
    fields = parse_object(body)
    inputs = _inputs(fields.take("input"))
    encoding = fields.text("encoding_format", "float")
    if encoding not in ("float", "base64"):
        refuse("encoding_format", "must be float or base64")
    call = EmbeddingCall(
        fields.text("model", ""), inputs, fields.whole("dimensions", None, 1, MAX_WHOLE), encoding == "base64"
    )
    fields.finish()
    return call


def parse_rerank(body: bytes) -> RerankCall:
    """A rerank request. Raises: ``RequestError``."""
    fields = parse_object(body)
    query = fields.take("query")
    if not isinstance(query, str):
        refuse("query", "must be a string")
    documents = fields.take("documents")
    if not isinstance(documents, list) or not documents:
        refuse("documents", "must be a list with at least one text")
    if len(documents) > MAX_DOCUMENTS:
        refuse("documents", f"holds {len(documents)} texts; {MAX_DOCUMENTS} are the most")
    call = RerankCall(
        fields.text("model", ""),
        query,
        tuple(_document(item, f"documents[{index}]") for index, item in enumerate(documents)),
        fields.whole("top_n", None, 1, MAX_WHOLE),
        fields.flag("return_documents", False),
    )
    fields.finish()
    return call


def parse_tokenize_text(body: bytes) -> tuple[str, bool]:
    """A text to tokenize, and whether the model's marks go around it. Raises: ``RequestError``."""
    fields = parse_object(body)
    call = fields.text("content", ""), fields.flag("add_special", False)
    fields.finish()
    return call


def _inputs(value: Any) -> tuple[Text, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not value:
        refuse("input", "must be a string, a list of token numbers, or a list of those")
    if _is_tokens(value):
        return (tuple(value),)
    if len(value) > MAX_INPUTS:
        refuse("input", f"holds {len(value)} texts; {MAX_INPUTS} are the most")
    if not all(isinstance(item, str) or (_is_tokens(item) and item) for item in value):
        refuse("input", "must be a string, a list of token numbers, or a list of those")
    return tuple(item if isinstance(item, str) else tuple(item) for item in value)


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(type(token) is int and 0 <= token <= MAX_WHOLE for token in value)


def _document(value: Any, where: str) -> str:
    text = value.get("text") if isinstance(value, dict) else value
    return text if isinstance(text, str) else refuse(where, "must be a string or an object with a text")


def cut(rows: Sequence[Vector], dimensions: int | None) -> NDArray[np.float32]:
    """The vectors as they are answered, (n, dimensions) float32: cut if asked for, of Euclidean length one.

    A vector of zeros stays one. Source: Kusupati et al. 2022, Matryoshka representation learning, for the cut.
    """
    kept = np.stack(rows)[:, :dimensions].astype(np.float64)
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    shorter: NDArray[np.float32] = (kept / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return shorter


def embedding_answer(call: EmbeddingCall, model: str, vectors: NDArray[np.float32], n_tokens: int) -> JsonObject:
    """OpenAI's list of embeddings."""
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector) if call.as_base64 else vector.tolist()}
        for index, vector in enumerate(vectors)
    ]
    return {"object": "list", "model": model, "data": data, "usage": _usage(n_tokens)}


def rerank_answer(call: RerankCall, model: str, scores: Sequence[float], n_tokens: int) -> JsonObject:
    """The documents by falling score, equal ones in the order of the call."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: call.top_n]
    results: list[JsonObject] = []
    for index in order:
        result: JsonObject = {"index": index, "relevance_score": scores[index]}
        if call.return_documents:
            result["document"] = {"text": call.documents[index]}
        results.append(result)
    return {"object": "list", "model": model, "results": results, "usage": _usage(n_tokens)}


def _encoded(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def _usage(n_tokens: int) -> JsonObject:
    return {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
