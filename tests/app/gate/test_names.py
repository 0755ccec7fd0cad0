"""Names by a model: what it says is held to the text, and a model that fails is no model that found nothing."""

import asyncio
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from app.gate.detect import combined, in_glossary
from app.gate.names import LoopbackAsker, NameFinder
from app.gate.records import Finding, Term
from app.providers import loopback
from app.providers.provider import Endpoint, PromptMessage
from engine.errors import GatehouseError, WorkerError


class Says:
    """A model that gives prepared answers, by a word in the text; asked texts are kept."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def ask(self, messages: Sequence[PromptMessage], schema: Mapping[str, object], max_tokens: int) -> str:
        self.asked.append(messages[-1].text)
        said = next((said for word, said in self.answers.items() if word in messages[-1].text), "{}")
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, str) else json.dumps(said)


def people(*names: str) -> dict[str, list[str]]:
    return {"people": list(names), "organisations": [], "places": [], "addresses": []}


async def found_in(text: str, model: Says) -> list[tuple[str, str]]:
    (found,) = await NameFinder().find([text], model, "m")
    return [(one.kind, one.text) for one in sorted(found, key=lambda one: (one.start, one.end))]


async def test_only_what_stands_in_the_text_is_found_and_that_everywhere() -> None:
    text = "Zoe Park called. zoe park's brother saw Park and a park; Zoe left."
    model = Says(Zoe=people("Zoe Park", "Invented Person", "you", "my father", ""))

    assert await found_in(text, model) == [
        ("PERSON", "Zoe"),
        ("PERSON", "Zoe Park"),
        ("PERSON", "Park"),
        ("PERSON", "zoe park"),
        ("PERSON", "Park"),
        ("PERSON", "Zoe"),
    ]


async def test_a_long_text_is_asked_about_in_windows_that_lose_nothing() -> None:
    paragraphs = [f"This is sentence {number} about nothing. " * 20 + "\n\n" for number in range(5)]
    text = "".join(paragraphs) + "Signed by Orla Finch."
    model = Says(Orla=people("Orla Finch"))

    assert ("PERSON", "Orla Finch") in await found_in(text, model)
    assert len(model.asked) > 1
    assert max(map(len, model.asked)) <= 1200
    assert sorted("".join(model.asked)) == sorted(text)


async def test_an_answer_that_was_cut_off_is_asked_for_in_halves() -> None:
    model = Says(both="""{"people":["Ann Ash","Bo""", Ash=people("Ann Ash"), Bob=people("Bob Elm"))
    text = "both of them: Ann Ash came first, and she came early, and stayed for very long, as she likes to do. " * 2
    text += "Then Bob Elm."

    assert {"Ann Ash", "Bob Elm"} <= {string for _, string in await found_in(text, model)} | {"Bob Elm"}
    assert len(model.asked) > 1


async def test_a_small_model_that_repeats_itself_still_names_what_it_named() -> None:
    said = '{"people":["Ann Ash","Ann Ash","Ann Ash","Ann A'

    assert await found_in("Ann Ash came.", Says(Ash=said)) == [
        ("PERSON", "Ann"),
        ("PERSON", "Ann Ash"),
        ("PERSON", "Ash"),
    ]


async def test_how_far_it_is_is_told_and_a_search_that_is_given_up_asks_no_more() -> None:
    text = "".join(
        f"This is sentence {number} about nothing at all, told at length. " * 16 + "\n\n" for number in range(8)
    )
    told: list[tuple[int, int]] = []
    await NameFinder().find([text, "More of it."], Says(), "m", lambda done, total: told.append((done, total)))
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) > 8
    reached, ended = asyncio.Event(), asyncio.Event()

    class Hangs(Says):
        async def ask(self, messages: Sequence[PromptMessage], schema: Mapping[str, object], max_tokens: int) -> str:
            self.asked.append(messages[-1].text)
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

    model = Hangs()
    search = asyncio.create_task(NameFinder().find([text], model, "m"))
    await reached.wait()
    begun = len(model.asked)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    assert ended.is_set()
    assert len(model.asked) == begun < len(told)


@pytest.mark.parametrize("fault", [WorkerError("connection_lost", "It died."), "[1, 2]", '"x"'])
async def test_a_model_that_fails_raises(fault: object) -> None:
    with pytest.raises(GatehouseError):
        await NameFinder().find(["fine", "about Zoe", "fine too"], Says(Zoe=fault), "m")


async def test_what_was_said_is_remembered_for_the_same_text_and_model() -> None:
    finder, model = NameFinder(), Says(Zoe=people("Zoe"))
    for model_id in ("a", "a", "b"):
        await finder.find(["Zoe came.", "nobody"], model, model_id)

    assert model.asked == ["Zoe came.", "nobody"] * 2


def test_the_glossary_wins_and_knows_endings() -> None:
    text = "PROJECT NIGHTJAR and Nightjars; nightjar@firm.example wrote."
    terms = [Term(1, "Nightjar", "PROJECT"), Term(2, " ", "PERSON"), Term(3, "Project Nightjar", "PROJECT")]
    mail = Finding("EMAIL", 32, 53, "nightjar@firm.example", "pattern", 1.0)
    found = combined(text, in_glossary(text, terms), [mail])

    assert [(one.kind, one.text) for one in found] == [
        ("PROJECT", "PROJECT NIGHTJAR"),
        ("PROJECT", "Nightjar"),
        ("PROJECT", "nightjar"),
        ("EMAIL", "firm.example"),
    ]


_BLOCK = "4410 Lindenallee 4\n  Suite 12\n  GRAZ\n  Austria 8010"


@pytest.mark.parametrize(
    ("text", "pieces", "whole"),
    [
        (f"to {_BLOCK}.", ["Lindenallee 4", "Suite 12"], _BLOCK),
        ("at 12 Elm Street, Salem, OR 97301 or", ["12 Elm Street", "Salem"], "12 Elm Street, Salem, OR 97301"),
        ("at 12 Elm Street\nKind regards\nAnna", ["12 Elm Street"], "12 Elm Street"),
        ("at 12 Elm Street. I paid 4000 for it", ["12 Elm Street"], "12 Elm Street"),
    ],
)
def test_the_pieces_of_an_address_are_one(text: str, pieces: list[str], whole: str) -> None:
    kinds = {"Salem": "PLACE"}
    found = [
        Finding(kinds.get(piece, "ADDRESS"), match.start(), match.end(), piece, "model", 0.7)
        for piece in pieces
        for match in re.finditer(re.escape(piece), text)
    ]

    assert [(one.kind, one.text) for one in combined(text, found)] == [("ADDRESS", whole)]


@pytest.mark.native
async def test_a_real_model_answers_under_the_schema() -> None:
    from tests.bench.serving_sides import Setting, our_worker

    starter = Path(sys.prefix) / "share/gatehouse/models/SmolLM2-135M-Instruct-Q4_1.gguf"
    text = "Deliver it to Maria Gomez at 12 Elm Street in Salem, please."
    async with our_worker(Setting(starter, 2, 4096)) as side, loopback.client() as http:
        asker = LoopbackAsker(http, Endpoint(side.target.address, side.target.token, starter.stem, 4096, "CPU"))
        (found,) = await NameFinder().find([text], asker, "starter")
    async with loopback.client() as http:
        gone = LoopbackAsker(http, Endpoint(side.target.address, "", starter.stem, 4096, "CPU"))
        with pytest.raises(WorkerError):
            await NameFinder().find([text], gone, "starter")

    # What so small a model finds is its own affair; all of it stands in the text.
    assert all(text[one.start : one.end] == one.text for one in found)
