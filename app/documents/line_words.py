"""Words of a line of which only the box of the whole is known."""

from __future__ import annotations

from app.documents.draft import Token
from app.documents.records import Box


def split_line(text: str, box: Box, score: float) -> list[Token]:
    """The words of a line whose box alone is known: each as wide as its share of the characters."""
    tokens = []
    text = text.strip()
    letter = box.width / max(len(text), 1)
    position = 0
    for word in text.split():
        start = text.index(word, position)
        position = start + len(word)
        tokens.append(Token(word, Box(box.x0 + start * letter, box.y0, box.x0 + position * letter, box.y1), score))
    return tokens
