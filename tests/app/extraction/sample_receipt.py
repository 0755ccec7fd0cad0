"""An invented receipt as a reading, and an asker that answers by rule instead of by a model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from app.documents.records import Box, DocumentKind, Page, Reading, Word
from app.extraction.ask import Question, Reply, TokenScore

TEXT = """\
      CORNER HARDWARE & PAINT
        (SUNRISE) LTD
      12 MILL LANE
      LEEDS LS1 4AB
      TEL: 0113 496 0000

Date: 03/11/2024        No: 000417
Hammer      2 x   9.50     19.00
Nails 50mm  1 x   3.20      3.20
SUB TOTAL                  22.20
VAT 20%                     4.44
TOTAL                      26.64
CASH                       30.00
CHANGE                      3.36
"""


def reading_of(text: str) -> Reading:
    """A page of typewriter letters, ten points wide and twenty high."""
    words = []
    for number, line in enumerate(text.split("\n")):
        start = sum(len(one) + 1 for one in text.split("\n")[:number])
        for match in re.finditer(r"\S+", line):
            box = Box(match.start() * 10.0, number * 20.0, match.end() * 10.0, number * 20.0 + 18)
            words.append(Word(match.group(), box, 1.0, start + match.start(), start + match.end()))
    page = Page(1, 800.0, 1000.0, "text", tuple(words), 0, len(text))
    return Reading(DocumentKind.TEXT, "0" * 64, text, (page,))


class RuleAsker:
    """Answers each property by a rule over what its form allows; keeps the questions."""

    model = "by rule"

    def __init__(self, rules: Mapping[str, Callable[[list[Any]], Any]], n_ctx: int = 8192) -> None:
        self._rules = rules
        self.n_ctx = n_ctx
        self.questions: list[Question] = []

    async def ask(self, question: Question) -> Reply:
        self.questions.append(question)
        answer = json.dumps(self._answer("", question.schema), ensure_ascii=False)
        tokens = tuple(TokenScore(end, -0.002, -0.001) for end in range(1, len(answer) + 1))
        return Reply(answer, True, tokens, 10, 5, len(answer), 0.1)

    def _answer(self, name: str, form: Mapping[str, Any]) -> Any:
        if form.get("type") == "object":
            return {key: self._answer(key, value) for key, value in form["properties"].items()}
        if "prefixItems" in form:
            return [self._answer(name, one) for one in form["prefixItems"]]
        rule = self._rules.get(name)
        if rule is not None:
            return rule(form.get("enum") or form.get("items", {}).get("enum") or [])
        return None
