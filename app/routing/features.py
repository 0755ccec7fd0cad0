"""What can be counted in a prompt without any model. Pure, and quick enough for every keystroke."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^\s*(```|~~~)")
_CODE_LINE = re.compile(
    r"^\s*(?:(?:def|class|import|from|return|for|while|if|elif|else|try|except|with|async|await|const|let|var|function|"
    r"public|private|static|void|int|struct|enum|impl|fn|func|package|using|namespace|SELECT|INSERT|UPDATE|CREATE|#include)"
    r"\b.*[:;{(=]|[}\])]+[;,]?\s*$|.*[;{]\s*$|\s*//|\s*#!)"
)
_ASKS_FOR_CODE = re.compile(
    r"\b(?:write|implement|refactor|debug|fix|port|optimi[sz]e|code|program|schreib\w*|implementier\w*|programmier\w*)\b"
    r"[^.?!\n]{0,80}"
    r"\b(?:code|function|class|method|script|program|query|regex|regular expression|parser|algorithm|unit tests?|"
    r"api|sql|python|rust|java|javascript|typescript|c\+\+|go|bash|compiler|funktion|klasse|programm|skript)\b",
    re.IGNORECASE,
)
_MATHS = re.compile(
    r"\$[^$\n]+\$|\\(?:frac|int|sum|sqrt|lim|partial|begin\{(?:align|equation|matrix|bmatrix)\})|[∑∫∂√≤≥≠∞∀∃∈⊂⇒]|"
    r"\b\d+(?:\.\d+)?\s*[*/^×÷]\s*\d+|[a-z]\s*\^\s*\d|[a-z]\s*=\s*[-+]?\d|"
    r"\b(?:prove|proof|theorem|lemma|derivative|integral|integrate|differentiate|eigenvalues?|matrix|matrices|probability|"
    r"equations?|solve for|modulo|logarithm|polynomial|combinatori\w+|permutations?|variance|beweis\w*|ableitung|"
    r"wahrscheinlichkeit|gleichung\w*)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:must(?: not)?|at (?:least|most)|no (?:more|fewer|less) than|exactly|only if|unless|without|except|ensure|"
    r"make sure|do not|don't|avoid|every|each of|in (?:json|xml|yaml|csv|markdown)|as (?:json|xml|yaml|csv|a table)|"
    r"(?:fewer|less|more) than \d+|between \d+ and \d+|rhym\w+|in alphabetical order|muss|müssen|"
    r"darf nicht|dürfen nicht|mindestens|höchstens|genau|ohne|außer|ausser)\b",
    re.IGNORECASE,
)
_LISTED = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)]|[a-z][.)])\s+\S")
_QUESTION = re.compile(r"\?(?=\s|$|[\"'”’)\]])")
_STEPS = re.compile(
    r"\b(?:step[- ]by[- ]step|first\b.{0,200}\bthen|compare|contrast|trade-?offs?|analy[sz]e|critique|plan|strategy|"
    r"design|prioriti[sz]e|pros and cons|explain why|vergleich\w*|abwäg\w*|analysier\w*|begründ\w*)\b",
    re.IGNORECASE | re.DOTALL,
)
_MOST_CHARS = 200_000
"""Of a text; what follows changes no decision."""


@dataclass(frozen=True, slots=True)
class Features:
    """Counts over one message of a person."""

    words: int
    code_lines: int
    asks_for_code: bool
    maths_marks: int
    conditions: int
    questions: int
    weighs: bool
    """It asks to compare, to plan, or to go through several steps."""


def features(text: str) -> Features:
    """Count."""
    text = text[:_MOST_CHARS]
    prose, code_lines, listed = _parted(text)
    return Features(
        words=len(text.split()),
        code_lines=code_lines,
        asks_for_code=_ASKS_FOR_CODE.search(prose) is not None,
        maths_marks=len(_MATHS.findall(prose)),
        conditions=len(_CONDITION.findall(prose)) + listed,
        questions=len(_QUESTION.findall(prose)),
        weighs=_STEPS.search(prose[:4000]) is not None,
    )


def _parted(text: str) -> tuple[str, int, int]:
    """The text without its code, the number of lines of code, and the number of listed points in the rest."""
    prose: list[str] = []
    code_lines = 0
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        elif fenced or _CODE_LINE.match(line):
            code_lines += bool(line.strip())
        else:
            prose.append(line)
    return "\n".join(prose), code_lines, sum(_LISTED.match(line) is not None for line in prose)
