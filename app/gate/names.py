"""Names, organisations, places and addresses, found by the local model under a constraint.

The model copies strings into a JSON object of four lists. What it says and the text does not hold is dropped, so it can
miss something and cannot invent anything. Patterns are ``scan.py``'s; together they are ``detect.py``'s.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from app.gate import surfaces
from app.gate.records import Finding
from app.providers.provider import Endpoint, PromptMessage
from engine.errors import GatehouseError, WorkerError

if TYPE_CHECKING:
    import httpx2

MODEL: Final = "model"
_KINDS: Final = {"people": "PERSON", "organisations": "ORGANISATION", "places": "PLACE", "addresses": "ADDRESS"}
_SCHEMA: Final[Mapping[str, object]] = {
    "type": "object",
    "properties": {name: {"type": "array", "items": {"type": "string"}} for name in _KINDS},
    "required": list(_KINDS),
    "additionalProperties": False,
}
_INSTRUCTION: Final = """You find names in a text. Copy them exactly as they are written there.
people: names of persons, also first or last names alone, also in small letters; without titles like Mr. or Dr.
organisations: companies, institutions, brands.
places: cities, towns, countries, regions, nationalities.
addresses: streets with their numbers, flats, boxes, postcodes.
Answer in JSON. A list stays empty when there is nothing."""
_EXAMPLES: Final = (
    (
        "Ms Okafor-Lind asked if Brightwater Holdings ships to Tromsø, then quoted from Tobias Wren's novel.",
        (("Okafor-Lind", "Tobias Wren"), ("Brightwater Holdings",), ("Tromsø",), ()),
    ),
    ("How do I reset my password?", ((), (), (), ())),
    (
        "Deliver to: jana sedláčková\n  4410 Lindenallee 4\n  Suite 12\n  GRAZ\n  Austria 8010",
        (("jana sedláčková",), (), ("GRAZ", "Austria"), ("4410 Lindenallee 4\n  Suite 12", "8010")),
    ),
    (
        "Could you send it to 90331 Hlavní 17 Apt. 4 Ostrava, MK 70030 or to Pine and Mill Road 8 by Monday?",
        ((), (), ("Ostrava",), ("90331 Hlavní 17 Apt. 4 Ostrava, MK 70030", "Pine and Mill Road 8")),
    ),
)
_WINDOW_CHARS: Final = 1200
_SMALLEST_CHARS: Final = 160
_MAX_TOKENS: Final = 384
_AT_ONCE: Final = 4
"""Requests to one worker; they share the instruction's prefix and the steps of its batch."""
_REMEMBERED: Final = 512
_BREAKS: Final = re.compile(r"\n\s*\n|(?<=[.!?])\s+|\n|\s")
_WORDS: Final = """
    i me my you your he him his she her it its we us our they them their who whom this that mr mrs ms miss dr prof sir
    madam user bot assistant system customer client patient manager father mother son daughter wife husband partner
    friend boss man woman boy girl male female person people someone somebody nobody everyone company bank street city
    country town name address none null n/a unknown god jesus monday tuesday wednesday thursday friday saturday sunday
    apt suite driver doctor nurse teacher student lawyer judge author writer singer producer director employee employer
    hello hi hey dear thanks thank regards please sorry yes no ok
"""
_NOT_NAMES: Final = frozenset(_WORDS.split())
"""What small models take for names."""
_PLAIN_WORDS: Final = re.compile(
    r"\b(?:my|your|his|her|our|their|the|an?|this|that|and|or|of|on|in|at|to|for|with|from|who|is|are|was|be)\b"
)
_MAX_PLAIN_WORDS: Final = 3
"""Of a name in small letters."""


class Asker(Protocol):
    """A model on this machine that answers under a schema."""

    async def ask(self, messages: Sequence[PromptMessage], schema: Mapping[str, object], max_tokens: int) -> str:
        """The whole answer; cut off when it was longer. Raises ``GatehouseError``."""


Tell = Callable[[int, int], None]
"""Told how many windows were looked through, and of how many."""


class NameFinder:
    """Asks a model about texts, window by window, and remembers what it said of the latest ones."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, str], Mapping[str, Sequence[str]]] = OrderedDict()

    async def find(
        self, texts: Sequence[str], asker: Asker, model_id: str, tell: Tell | None = None
    ) -> tuple[tuple[Finding, ...], ...]:
        """For each text what the model named and the text really holds, everywhere it occurs there.

        Raises ``GatehouseError`` when the model does not answer: then nobody looked.
        """
        turns = asyncio.Semaphore(_AT_ONCE)

        done = 0

        async def look(window: str) -> tuple[tuple[str, str], ...]:
            nonlocal done
            async with turns:
                named = await self._named(window, asker, model_id)
            done += 1
            if tell is not None:
                tell(done, len(every))
            return named

        windows = [list(_windows(text)) for text in texts]
        tasks = [[asyncio.create_task(look(window)) for window in row] for row in windows]
        every = [task for row in tasks for task in row]
        try:
            await asyncio.gather(*every)
        finally:
            for task in every:
                task.cancel()
            await asyncio.gather(*every, return_exceptions=True)
        return tuple(
            located(text, {pair for task in row for pair in task.result()})
            for text, row in zip(texts, tasks, strict=True)
        )

    def forget(self) -> None:
        """Let go of what was said of the latest texts."""
        self._said.clear()

    async def _named(self, window: str, asker: Asker, model_id: str) -> tuple[tuple[str, str], ...]:
        key = (model_id, window)
        said = self._said.get(key)
        if said is None:
            said = await _ask(window, asker)
            self._said[key] = said
            while len(self._said) > _REMEMBERED:
                self._said.popitem(last=False)
        else:
            self._said.move_to_end(key)
        pairs = ((_KINDS[name], string) for name, strings in said.items() for string in strings)
        return tuple(pair for pair in pairs if _is_name(*pair))


class LoopbackAsker:
    """A worker of this machine as an :class:`Asker`."""

    def __init__(self, http: httpx2.AsyncClient, endpoint: Endpoint) -> None:
        """``http`` is of ``app.providers.loopback`` and stays the caller's."""
        self._http = http
        self._endpoint = endpoint

    async def ask(self, messages: Sequence[PromptMessage], schema: Mapping[str, object], max_tokens: int) -> str:
        import httpx2

        body = {
            "model": self._endpoint.model_id,
            "messages": [{"role": message.role, "content": message.text} for message in messages],
            "temperature": 0,
            "max_tokens": max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "names", "strict": True, "schema": schema},
            },
        }
        headers = {"Authorization": f"Bearer {self._endpoint.api_key}"}
        try:
            answer = await self._http.post(f"{self._endpoint.address}/v1/chat/completions", json=body, headers=headers)
            text = answer.json()["choices"][0]["message"]["content"]
        except (httpx2.HTTPError, ValueError, LookupError, TypeError) as error:
            raise WorkerError(
                "names_not_found", f"The local model could not look for names ({type(error).__name__})."
            ) from error
        if not isinstance(text, str):
            raise WorkerError("names_not_found", "The local model answered without a text when it looked for names.")
        return text


def located(text: str, named: Iterable[tuple[str, str]]) -> tuple[Finding, ...]:
    """Where the named strings, as (kind, string), stand in ``text``; those that do not are dropped.

    First and last names within a name that was found are looked for alone, too.
    """
    sought = {(kind, string, True) for kind, string in named}
    sought |= {(kind, part, False) for kind, string, _ in sought for part in surfaces.parts(kind, string)}
    found = []
    for kind, string, whole in sorted(sought):
        pattern = re.compile(surfaces.pattern(kind, string, whole=whole), re.IGNORECASE)
        found += [Finding(kind, match.start(), match.end(), match[0], MODEL, 0.7) for match in pattern.finditer(text)]
    return tuple(found)


def prompt(text: str) -> tuple[PromptMessage, ...]:
    """What the model is asked; all but the last message is the same for every text."""
    messages = [PromptMessage("system", _INSTRUCTION)]
    for example, lists in _EXAMPLES:
        said = json.dumps(dict(zip(_KINDS, lists, strict=True)), ensure_ascii=False, separators=(",", ":"))
        messages += [PromptMessage("user", example), PromptMessage("assistant", said)]
    return (*messages, PromptMessage("user", text))


async def _ask(window: str, asker: Asker) -> Mapping[str, Sequence[str]]:
    said = await asker.ask(prompt(window), _SCHEMA, _MAX_TOKENS)
    try:
        return _lists(json.loads(said))
    except ValueError:
        pass  # the answer was cut off in the middle: what is whole of it counts, or smaller windows are asked
    if len(window) <= _SMALLEST_CHARS:
        return _cut_lists(said)
    middle = _break_before(window, len(window) // 2)
    halves = [await _ask(half, asker) for half in (window[:middle], window[middle:]) if half.strip()]
    return {name: [string for half in halves for string in half.get(name, ())] for name in _KINDS}


def _lists(said: object) -> Mapping[str, Sequence[str]]:
    if not isinstance(said, dict):
        raise GatehouseError("names_not_found", "The local model answered with something else than lists of names.")
    lists = ((name, said.get(name)) for name in _KINDS)
    return {
        name: [one for one in strings if isinstance(one, str)] for name, strings in lists if isinstance(strings, list)
    }


def _cut_lists(said: str) -> Mapping[str, Sequence[str]]:
    """What there is of an answer that was cut off: a small model repeated itself."""
    found: dict[str, list[str]] = {}
    name = ""
    for match in re.finditer(r'"((?:[^"\\]|\\.)*)"(\s*:)?', said):
        string = json.loads(f'"{match[1]}"', strict=False)
        if match[2] and string in _KINDS:
            name = string
        elif name:
            found.setdefault(name, []).append(string)
    return found


def _is_name(kind: str, string: str) -> bool:
    words = string.split()
    if not words or sum(character.isalnum() for character in string) < 2 or len(string) > 200:
        return False
    if kind == "ADDRESS":
        return any(character.isdigit() for character in string) or len(words) > 1
    if not any(character.isalpha() for character in string):
        return False
    bare = {word.strip(".,;:'\"!?()").casefold() for word in words}
    if bare <= _NOT_NAMES:
        return False
    return string != string.lower() or (len(words) <= _MAX_PLAIN_WORDS and not _PLAIN_WORDS.search(string))


def _windows(text: str) -> Iterator[str]:
    """The text in windows that end between paragraphs, else sentences, else words."""
    at = 0
    while at < len(text):
        end = _break_before(text, at + _WINDOW_CHARS, at) if len(text) - at > _WINDOW_CHARS else len(text)
        if text[at:end].strip():
            yield text[at:end]
        at = end


def _break_before(text: str, end: int, start: int = 0) -> int:
    best: tuple[int, int] = (0, end)
    floor = start + (end - start) // 2
    for match in _BREAKS.finditer(text, floor, end):
        rank = 3 if match[0].count("\n") > 1 else 2 if len(match[0]) and text[match.start() - 1] in ".!?\n" else 1
        if rank >= best[0]:
            best = (rank, match.end())
    return best[1]
