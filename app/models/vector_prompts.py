"""What stands before a text for a model that makes vectors: many were trained with a sign for questions and passages.

Pure. A file does not say it, so it goes by the names that their makers gave.
"""

from __future__ import annotations

from typing import Final, Literal

Purpose = Literal["question", "passage"]

_TASK: Final = "Given a question, find the passages that answer it"
_RULES: Final[tuple[tuple[str, str, str], ...]] = (
    ("qwen3-embedding", f"Instruct: {_TASK}\nQuery: ", ""),
    ("embeddinggemma", "task: search result | query: ", "title: none | text: "),
    ("gemma-embedding", "task: search result | query: ", "title: none | text: "),
    ("nomic-embed", "search_query: ", "search_document: "),
    ("e5-large-instruct", f"Instruct: {_TASK}\nQuery: ", ""),
    ("e5-mistral", f"Instruct: {_TASK}\nQuery: ", ""),
    ("multilingual-e5", "query: ", "passage: "),
    ("e5-", "query: ", "passage: "),
    ("arctic-embed-l-v2", "query: ", ""),
    ("arctic-embed-m-v2", "query: ", ""),
    ("arctic-embed", "Represent this sentence for searching relevant passages: ", ""),
    ("mxbai-embed", "Represent this sentence for searching relevant passages: ", ""),
    ("bge-small-en", "Represent this sentence for searching relevant passages: ", ""),
    ("bge-base-en", "Represent this sentence for searching relevant passages: ", ""),
    ("bge-large-en", "Represent this sentence for searching relevant passages: ", ""),
)
"""A part of a name, what stands before a question, what before a passage; the first that fits.

Source: the model cards of Qwen3-Embedding, EmbeddingGemma, nomic-embed-text, E5, Arctic Embed, mxbai-embed and BGE.
"""


def prompted(text: str, purpose: Purpose, *names: str) -> str:
    """The text as that model is shown it. ``names``: its id, its own name, its architecture."""
    joined = " ".join(names).casefold().replace("_", "-").replace(" ", "-")
    for part, question, passage in _RULES:
        if part in joined:
            return (question if purpose == "question" else passage) + text
    return text
