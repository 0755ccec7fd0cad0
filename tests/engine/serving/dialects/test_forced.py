"""Whatever a grammar of calls allows is read back as calls that follow their schemas; and text that breaks it is not
allowed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from engine.errors import RequestError
from engine.llama import bindings
from engine.llama.chat import Tool
from engine.llama.constrain import Constraint, GrammarCompiler
from engine.llama.model import Model
from engine.llama.tokens import Vocabulary
from engine.serving.dialects.dialect import Dialect, Setting
from engine.serving.dialects.forced import CallGrammar
from engine.serving.dialects.hermes import HERMES
from tests.engine.llama.walks import Walker
from tests.engine.served import plan
from tests.engine.serving.dialects.test_parsers import DIALECTS, read

pytestmark = pytest.mark.native

TOOLS = (
    Tool(
        "pick",
        "",
        {
            "type": "object",
            "properties": {"colour": {"enum": ["red", "blue"]}, "note": {"type": "string", "maxLength": 5}},
            "required": ["colour"],
        },
    ),
    Tool("now"),
)
SETTING = Setting({tool.name: tool.parameters for tool in TOOLS}, "<|start|>assistant", frozenset())
TEMPLATES = {"mistral": "[TOOL_CALLS][ARGS]", "deepseek": "```json"}
ANSWER = '{"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}'


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Vocabulary]:
    bindings.install_log(lambda level, line: None)
    model = Model.load(plan(), lambda ratio: True)
    yield model.vocabulary
    model.close()


@pytest.fixture(scope="module")
def compiler(vocabulary: Vocabulary) -> GrammarCompiler:
    return GrammarCompiler(vocabulary)


@pytest.fixture(scope="module")
def walker(vocabulary: Vocabulary) -> Walker:
    return Walker(vocabulary)


def grammar(dialect: Dialect) -> CallGrammar:
    return CallGrammar(dialect, TEMPLATES.get(dialect.name, ""), {})


def is_valid(name: str, arguments: str) -> bool:
    found: dict[str, Any] = json.loads(arguments)
    if name == "now":
        return found == {}
    return found["colour"] in ("red", "blue") and found.keys() <= {"colour", "note"} and len(found.get("note", "")) <= 5


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("several", [False, True])
def test_what_is_demanded_is_read_as_valid_calls(
    name: str, several: bool, compiler: GrammarCompiler, walker: Walker
) -> None:
    constraint, dialect = grammar(DIALECTS[name]).demanded(TOOLS, frozenset(), several=several)
    compiled = compiler.compile(constraint)
    rng = random.Random(name)
    texts = [text for _ in range(12) if (text := walker.text(compiled, rng)) is not None]
    assert len(texts) > 4
    for text in texts:
        result = read(dialect, [text.decode()], SETTING)
        assert result.calls, text
        assert several or len(result.calls) == 1
        assert all(is_valid(called, arguments) for called, _, arguments in result.calls), text
        assert not result.content.strip()


@pytest.mark.parametrize("name", ["hermes", "harmony", "llama", "gemma"])
def test_an_answer_or_a_call(name: str, compiler: GrammarCompiler, walker: Walker) -> None:
    constraint, dialect = grammar(DIALECTS[name]).or_answer(TOOLS, frozenset(), ANSWER, several=False)
    compiled = compiler.compile(constraint)
    rng = random.Random(1)
    seen = set()
    for _ in range(30):
        text = walker.text(compiled, rng)
        if text is not None:
            result = read(dialect, [text.decode()], SETTING)
            seen.add(bool(result.calls))
            assert result.calls or isinstance(json.loads(result.content)["yes"], bool)
    assert seen == {True, False}


def _accepts(compiler: GrammarCompiler, vocabulary: Vocabulary, constraint: Constraint, text: str) -> bool:
    matcher = compiler.compile(constraint).matcher()
    for token in vocabulary.tokenize(text, parse_special=True, add_bos=False):
        if not matcher.allows(token):
            return False
        matcher.advance(token)
    return matcher.accepting or matcher.stopped


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("Anything at all, <tool_ even that.", True),
        ('Look: <tool_call>\n{"name": "pick", "arguments": {"colour": "red"}}\n</tool_call>', True),
        (
            '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>\n'
            '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
            True,
        ),
        ('<tool_call>\n{"name": "pick", "arguments": {"colour": "green"}}\n</tool_call>', False),
        ('<tool_call>\n{"name": "sit", "arguments": {}}\n</tool_call>', False),
        ("<tool_call> is a tag.", False),
    ],
)
def test_a_strict_tool_is_called_well_or_not_at_all(
    compiler: GrammarCompiler, vocabulary: Vocabulary, text: str, accepted: bool
) -> None:
    constraint = grammar(HERMES).well_formed(TOOLS, frozenset({"pick"}), several=True)
    assert constraint is not None
    assert _accepts(compiler, vocabulary, constraint, text) == accepted


def test_a_tag_that_is_a_token_begins_the_call_too(compiler: GrammarCompiler, vocabulary: Vocabulary) -> None:
    # The starter has no such tag; one of its own control tokens stands in for it.
    token = vocabulary.controls["<repo_name>"]
    constraint = CallGrammar(HERMES, "", {"<tool_call>": token}).well_formed(TOOLS, frozenset(), several=False)
    assert constraint is not None
    for text, accepted in (
        ("Nothing.", True),
        ('So <repo_name>\n{"name": "now", "arguments": {}}\n</tool_call>', True),
        ("So <repo_name> what", False),
    ):
        assert _accepts(compiler, vocabulary, constraint, text) == accepted


def test_where_nothing_announces_a_call_none_is_held_to_a_form() -> None:
    for name in ("llama", "harmony", "gemma", "qwen_coder"):
        assert grammar(DIALECTS[name]).well_formed(TOOLS, frozenset({"pick"}), several=True) is None


def test_a_schema_that_cannot_be_enforced_is_refused_when_strict_and_else_any_object() -> None:
    tool = Tool("f", "", {"type": "object", "properties": {"a": {"not": {}}}})
    with pytest.raises(RequestError, match="the parameters of f"):
        grammar(HERMES).demanded((tool,), frozenset({"f"}), several=False)
    constraint, _ = grammar(HERMES).demanded((tool,), frozenset(), several=False)
    assert '"not"' not in constraint.text


def test_schemas_too_large_together_are_refused() -> None:
    tools = [Tool(f"f{n}", "", {"type": "object", "description": "x" * 50_000}) for n in range(8)]
    with pytest.raises(RequestError, match="can be enforced"):
        grammar(HERMES).demanded(tools, frozenset(), several=False)
