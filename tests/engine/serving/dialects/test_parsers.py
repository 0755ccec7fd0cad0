"""Every family's calls and reasoning, however the text is cut, and nothing lost of what is neither."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.serving.dialects.detect import detect
from engine.serving.dialects.dialect import Dialect, Parser, Setting
from engine.serving.dialects.pieces import Arguments, Call, Piece, Text, Thought, control
from tests.engine.serving.dialects.samples import SAMPLES, TOOLS, Sample

DIALECTS = {sample.dialect.name: sample.dialect for sample in SAMPLES.values()}


@dataclass
class Read:
    """What the pieces of an answer come to."""

    content: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def add(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            if not self.order or self.order[-1] != type(piece).__name__ or isinstance(piece, Call):
                self.order.append(type(piece).__name__)
            match piece:
                case Text(text):
                    self.content += text
                case Thought(text):
                    self.reasoning += text
                case Call(name, call_id):
                    self.calls.append((name, call_id, ""))
                case Arguments(text):
                    name, call_id, arguments = self.calls[-1]
                    self.calls[-1] = (name, call_id, arguments + text)


def read(dialect: Dialect, pieces: Iterable[str], setting: Setting) -> Read:
    parser = Parser(dialect, setting)
    result = Read()
    for piece in pieces:
        result.add(parser.feed(piece))
    result.add(parser.finish())
    return result


def setting(sample: Sample, *, controls: bool) -> Setting:
    return Setting(TOOLS, sample.prompt_end, frozenset(sample.dialect.tags) if controls else frozenset())


def as_tokens(text: str, dialect: Dialect) -> str:
    """The text as it looks when the dialect's tags are control tokens."""
    for tag in sorted(dialect.tags, key=len, reverse=True):
        text = text.replace(tag, control(tag))
    return text


@pytest.mark.parametrize("controls", [False, True], ids=["text", "tokens"])
@pytest.mark.parametrize("name", SAMPLES)
def test_an_answer_is_read(name: str, controls: bool) -> None:
    sample = SAMPLES[name]
    if controls and name == "hermes, brackets in strings":
        pytest.skip("a control token within a string ends up as text, which the sample does not spell")
    text = as_tokens(sample.text, sample.dialect) if controls else sample.text
    result = read(sample.dialect, [text], setting(sample, controls=controls))
    assert result.content == sample.content
    assert result.reasoning == sample.reasoning
    assert [(call, json.loads(arguments)) for call, _, arguments in result.calls] == list(sample.calls)
    if sample.ids:
        assert [call_id for _, call_id, _ in result.calls] == list(sample.ids)


@pytest.mark.parametrize("controls", [False, True], ids=["text", "tokens"])
@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=25)
@given(data=st.data())
@pytest.mark.slow
def test_the_cut_changes_nothing(name: str, controls: bool, data: st.DataObject) -> None:
    sample = SAMPLES[name]
    text = as_tokens(sample.text, sample.dialect) if controls else sample.text
    chosen = setting(sample, controls=controls)
    whole = read(sample.dialect, [text], chosen)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(sample.dialect, pieces, chosen) == whole
    assert read(sample.dialect, list(text), chosen) == whole


def fragments(dialect: Dialect) -> st.SearchStrategy[list[str]]:
    """Nonsense of the dialect's own words."""
    words = [
        *dialect.tags,
        "<function=",
        "<parameter=",
        "</parameter>",
        "</function>",
        "weather",
        "now",
        ">",
        "\n",
        " ",
    ]
    words += [
        '{"name": "now", "arguments": {}}',
        '{"',
        '"',
        "}",
        "[",
        "]",
        ":",
        ",",
        "call:",
        "x",
        "é",
        "to=functions.now",
    ]
    words += ["```json", "functions.now:0", "(", ")", "city", "=", "'", "assistant", '<invoke name="']
    return st.lists(st.sampled_from(words), max_size=14)


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=25)
@given(data=st.data())
def test_nonsense_is_read_the_same_however_it_is_cut(name: str, data: st.DataObject) -> None:
    dialect = DIALECTS[name]
    words = data.draw(fragments(dialect))
    end = data.draw(st.sampled_from(["", "<think>\n", "<|start|>assistant"]))
    chosen = Setting(TOOLS, end, frozenset())
    whole = read(dialect, ["".join(words)], chosen)
    assert read(dialect, words, chosen) == whole
    assert read(dialect, list("".join(words)), chosen) == whole


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=25)
@given(data=st.data())
def test_without_tools_nothing_is_a_call_and_nothing_is_lost(name: str, data: st.DataObject) -> None:
    dialect = DIALECTS[name]
    text = "".join(data.draw(fragments(dialect)))
    result = read(dialect, [text], Setting({}, "", frozenset()))
    assert not result.calls
    if dialect.name not in ("harmony", "gemma"):  # whose headers are no content
        said = result.reasoning + result.content
        tags = ("<think>", "</think>", "[THINK]", "[/THINK]")
        assert _bare(said, tags) == _bare(text, tags)


def _bare(text: str, tags: Iterable[str]) -> str:
    for tag in tags:
        text = text.replace(tag, "")
    return "".join(text.split())


@pytest.mark.parametrize("name", DIALECTS)
def test_a_control_tokens_spelling_is_no_control_token(name: str) -> None:
    """Where tags are tokens of their own, an answer that quotes one calls nothing."""
    dialect = DIALECTS[name]
    sample = next(sample for sample in SAMPLES.values() if sample.dialect is dialect and sample.calls)
    chosen = Setting(TOOLS, "", frozenset(dialect.tags))
    result = read(dialect, ["Quote: " + sample.text], chosen)
    if dialect.name not in ("qwen_coder", "llama"):  # which also read calls without any tag
        assert not result.calls
    if dialect.name == "llama":
        assert result.content == "Quote: " + sample.text


def test_arguments_stream_while_they_are_written() -> None:
    parser = Parser(SAMPLES["hermes"].dialect, Setting(TOOLS, "", frozenset()))
    assert parser.feed('<tool_call>{"name": "weather", "arguments": {"ci') == [Call("weather"), Arguments('{"ci')]
    assert parser.feed('ty": "P') == [Arguments('ty": "P')]


def test_an_answer_that_is_cut_off_keeps_what_it_said() -> None:
    text = '<tool_call>{"name": "weather", "arguments": {"city": "Pa'
    result = read(SAMPLES["hermes"].dialect, [text], Setting(TOOLS, "", frozenset()))
    assert result.calls == [("weather", "", '{"city": "Pa')]
    result = read(SAMPLES["gemma"].dialect, ["<|tool_call>call:weather{ci"], Setting(TOOLS, "", frozenset()))
    assert result.content == "<|tool_call>call:weather{ci"


def test_what_is_held_back_is_bounded() -> None:
    parser = Parser(SAMPLES["gemma"].dialect, Setting(TOOLS, "", frozenset()))
    parser.feed("<|tool_call>call:weather{")
    said = 0
    for _ in range(40):
        said += sum(len(piece.text) for piece in parser.feed("x" * 16384) if isinstance(piece, Text))
    assert said > 16384 * 20


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (None, "hermes"),
        ("{{ message.content }}", "hermes"),
        ("'<tool_call>\\n{\"name\": '", "hermes"),
        ("'<tool_call>\\n<function=' + name; '<parameter='", "qwen_coder"),
        ("<tool_call>{name}<arg_key>", "glm"),
        ("'<|start|>assistant<|channel|>analysis<|message|>'", "harmony"),
        ("'<|tool_call>call:'", "gemma"),
        ("'[TOOL_CALLS]' + name + '[ARGS]'", "mistral"),
        ("'List of tools: [' '<|tool_call_start|>['", "lfm"),
        ('\'{"name": "\' + name + \'", "parameters": \'', "llama"),
        ("'<｜tool▁calls▁begin｜>'", "deepseek"),
        ("'<minimax:tool_call>'", "minimax"),
        ("dsml_token = '｜DSML｜'", "dsml"),
        ("<|tool_calls_section_begin|>", "kimi"),
        ("<|tool_call|>", "phi"),
    ],
)
def test_a_template_tells_its_dialect(template: str | None, name: str) -> None:
    assert detect(template).name == name
