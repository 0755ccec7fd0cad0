"""The families' own templates, as llama.cpp's sources carry them: what they write of a past call is read back as it.

Those sources are in the cache of whoever has built the native part; elsewhere these tests are skipped.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from engine.llama.chat import Chat, ChatMessage, PastCall, Tool
from engine.llama.template import ChatTemplate
from engine.serving.dialects.detect import detect
from engine.serving.dialects.dialect import Parser, Setting
from engine.serving.dialects.pieces import Arguments, Call, Text, Thought
from installers.places import find_places

FAMILIES = {
    "Qwen-Qwen2.5-7B-Instruct": "hermes",
    "Qwen-Qwen3-0.6B": "hermes",
    "Qwen3-Coder": "qwen_coder",
    "Qwen3.5-4B": "qwen_coder",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": "qwen_coder",
    "ibm-granite-granite-4.0": "hermes",
    "meta-llama-Llama-3.1-8B-Instruct": "llama",
    "meta-llama-Llama-3.2-3B-Instruct": "llama",
    "mistralai-Mistral-Nemo-Instruct-2407": "mistral",
    "Mistral-Small-3.2-24B-Instruct-2506": "mistral",
    "mistralai-Ministral-3-14B-Reasoning-2512": "mistral",
    "openai-gpt-oss-120b": "harmony",
    "google-gemma-4-31B-it": "gemma",
    "GLM-4.6": "glm",
    "GLM-4.7-Flash": "glm",
    "LFM2.5-8B-A1B": "lfm",
    "LFM2-8B-A1B": "lfm",
    "deepseek-ai-DeepSeek-V4": "dsml",
    "MiniMax-M2": "minimax",
    "moonshotai-Kimi-K2": "kimi",
}
TOOL = Tool(
    "look_up",
    "Looks.",
    {
        "type": "object",
        "properties": {"word": {"type": "string"}, "n": {"type": "integer"}, "deep": {"type": "object"}},
        "required": ["word"],
    },
)
ARGUMENTS = {"word": 'a <b> "c" \u00e9', "n": 2, "deep": {"x": [1, True]}}


@cache
def _templates() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in sorted(find_places(Path(__file__).parents[4]).sources.glob("llama_cpp_python-*.tar.gz")):
        with tarfile.open(package) as archive:
            for member in archive:
                path = Path(member.name)
                if path.suffix == ".jinja" and path.parent.name == "templates":
                    file = archive.extractfile(member)
                    assert file is not None
                    found[path.stem] = file.read().decode()
    return found


@pytest.fixture
def template(request: pytest.FixtureRequest) -> Iterator[ChatTemplate]:
    source = _templates().get(request.param)
    if source is None:
        pytest.skip("llama.cpp's sources are not in the cache")
    made = ChatTemplate(source, bos="<s>", eos="</s>", deadline_s=20.0)
    yield made
    made.close()


@pytest.mark.parametrize(("template", "name"), FAMILIES.items(), indirect=["template"], ids=list(FAMILIES))
@pytest.mark.slow
def test_what_a_template_writes_of_a_call_is_read_as_that_call(template: ChatTemplate, name: str) -> None:
    dialect = detect(template.source)
    assert dialect.name == name
    assert template.abilities().tools
    asked = ChatMessage("user", "go <|im_end|>")
    call = PastCall("abcdefgh1", TOOL.name, json.dumps(ARGUMENTS, ensure_ascii=False))
    called = ChatMessage("assistant", "", reasoning="hm", tool_calls=(call,))
    result = ChatMessage("tool", "found <|im_end|>", tool_call_id="abcdefgh1")
    prompt = template.render_chat(Chat((asked,), (TOOL,)))
    full = template.render_chat(Chat((asked, called, result), (TOOL,)))

    text = "".join(segment.text for segment in full.segments)
    assert "found <|im_end|>" in text
    trusted = "".join(segment.text for segment in full.segments if segment.trusted)
    assert not any(word in trusted for word in ("found", "go <", "Looks.", '<b> "c"', TOOL.name))
    begun = "".join(segment.text for segment in prompt.segments)
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(begun, text, strict=False)))
    parser = Parser(dialect, Setting({TOOL.name: TOOL.parameters}, prompt.end, frozenset()))
    pieces = [*parser.feed(text[start:]), *parser.finish()]
    calls = [piece.name for piece in pieces if isinstance(piece, Call)]
    arguments = "".join(piece.text for piece in pieces if isinstance(piece, Arguments))
    assert calls == [TOOL.name], text[start:]
    assert json.loads(arguments) == ARGUMENTS
    before = pieces[: next(index for index, piece in enumerate(pieces) if isinstance(piece, Call))]
    said = "".join(piece.text for piece in before if isinstance(piece, Text | Thought))
    assert said.removesuffix("<channel|>").strip() in ("", "hm")  # Gemma's prompt begins thinking and ends it
