"""Programs that nobody here wrote: OpenAI's and Anthropic's packages with tools and schemas, the ``llm`` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from openai import AuthenticationError, OpenAI, RateLimitError

from tests.engine.served import KEY, MODEL_ID, WorkerProcess, serving

pytestmark = pytest.mark.native

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
QUESTION = "What will the weather be in Paris in the next 3 days?"
GREEDY = {"temperature": 0}


@pytest.fixture
def claude(worker: WorkerProcess) -> Iterator[Anthropic]:
    with Anthropic(base_url=worker.address, api_key=KEY, max_retries=0, timeout=60) as made:
        yield made


def _obeys(arguments: object) -> bool:
    given = json.loads(arguments) if isinstance(arguments, str) else arguments
    return isinstance(given, dict) and set(given) == {"city", "days"} and type(given["days"]) is int


def test_responses_call_tools_and_take_their_results(client: OpenAI) -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}
    asked: dict[str, Any] = {"model": MODEL_ID, "tools": [tool], "temperature": 0, "max_output_tokens": 80}
    choice: Any = {"type": "function", "name": "weather"}
    whole = client.responses.create(input=QUESTION, tool_choice=choice, **asked)
    call = whole.output[0]
    assert call.type == "function_call"
    assert call.name == "weather"
    assert _obeys(call.arguments)
    with client.responses.create(input=QUESTION, tool_choice=choice, stream=True, **asked) as stream:
        events = list(stream)
    assert "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta") == call.arguments
    assert [e.arguments for e in events if e.type == "response.function_call_arguments.done"] == [call.arguments]
    items: list[Any] = [
        {"role": "user", "content": QUESTION},
        *(item.model_dump(exclude_none=True) for item in whole.output),
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 20 degrees"},
    ]
    after = client.responses.create(input=items, tool_choice="none", **asked)
    assert after.output[0].type == "message"
    assert after.output_text


def test_messages_call_tools_and_take_their_results(claude: Anthropic) -> None:
    asked: dict[str, Any] = {
        "model": MODEL_ID,
        "max_tokens": 80,
        "tools": [{"name": "weather", "input_schema": PARAMETERS}],
        "extra_body": GREEDY,
    }
    question: Any = {"role": "user", "content": QUESTION}
    choice: Any = {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    with claude.messages.stream(messages=[question], tool_choice=choice, **asked) as stream:
        streamed = stream.get_final_message()
    whole = claude.messages.create(messages=[question], tool_choice=choice, **asked)
    assert whole.stop_reason == streamed.stop_reason == "tool_use"
    assert whole.content[0].type == streamed.content[0].type == "tool_use"
    assert whole.content[0].input == streamed.content[0].input
    assert _obeys(whole.content[0].input)
    result: Any = {"type": "tool_result", "tool_use_id": whole.content[0].id, "content": "sunny, 20 degrees"}
    messages: list[Any] = [
        question,
        {"role": "assistant", "content": whole.content},
        {"role": "user", "content": [result, {"type": "text", "text": "Sum it up."}]},
    ]
    after = claude.messages.create(messages=messages, tool_choice={"type": "none"}, **asked)
    assert after.content[0].type == "text"
    assert after.content[0].text


def test_both_take_a_schema_for_the_answer(client: OpenAI, claude: Anthropic) -> None:
    text: Any = {"format": {"type": "json_schema", "name": "trip", "schema": PARAMETERS, "strict": True}}
    response = client.responses.create(model=MODEL_ID, input=QUESTION, text=text, temperature=0, max_output_tokens=80)
    assert _obeys(response.output_text)
    config: Any = {"format": {"type": "json_schema", "schema": PARAMETERS}}
    message = claude.messages.create(
        model=MODEL_ID,
        max_tokens=80,
        messages=[{"role": "user", "content": QUESTION}],
        output_config=config,
        extra_body=GREEDY,
    )
    assert message.content[0].type == "text"
    assert _obeys(message.content[0].text)


class Llm:
    """The ``llm`` command with a folder of its own, in which the worker is one more model."""

    def __init__(self, folder: Path, address: str, key: str = KEY) -> None:
        self._folder = folder
        model = {
            "model_id": "here",
            "model_name": MODEL_ID,
            "api_base": f"{address}/v1",
            "api_key_name": "here",
            "supports_schema": True,
            "supports_tools": True,
        }
        (folder / "extra-openai-models.yaml").write_text(json.dumps([model]))  # JSON is YAML too
        (folder / "keys.json").write_text(json.dumps({"here": key}))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What ``llm -m here ARGUMENTS`` says."""
        return subprocess.run(
            [sys.executable, "-m", "llm", "-m", "here", "-o", "temperature", "0", "-o", "max_tokens", "60", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LLM_USER_PATH": str(self._folder), "PYTHONWARNINGS": "ignore"},
        )


@pytest.mark.slow
def test_the_llm_command_talks_and_goes_on(worker: WorkerProcess, tmp_path: Path) -> None:
    llm = Llm(tmp_path, worker.address)
    for arguments in (("What is the capital of France?",), ("-c", "--no-stream", "And of Italy?")):
        said = llm.run(*arguments)
        assert said.returncode == 0, said.stderr
        assert said.stdout.strip()


@pytest.mark.slow
def test_the_llm_command_takes_a_schema_and_offers_a_tool(worker: WorkerProcess, tmp_path: Path) -> None:
    llm = Llm(tmp_path, worker.address)
    said = llm.run("--schema", json.dumps(PARAMETERS), QUESTION)
    assert said.returncode == 0, said.stderr
    assert _obeys(said.stdout)
    tool = "def weather(city: str, days: int) -> str:\n    'The weather.'\n    return f'sunny in {city}'"
    called = llm.run("--functions", tool, QUESTION)
    assert called.returncode == 0, called.stderr


@pytest.mark.slow
def test_the_llm_command_shows_our_sentences(worker: WorkerProcess, tmp_path: Path) -> None:
    refused = Llm(tmp_path, worker.address, key="wrong").run("hi")
    assert refused.returncode == 1
    assert "The bearer token is missing or wrong" in refused.stderr
    too_long = Llm(tmp_path, worker.address).run("word " * 4000)
    assert too_long.returncode == 1
    assert "the context holds 2,048" in too_long.stderr


def test_openais_client_knows_our_refusals(worker: WorkerProcess) -> None:
    with OpenAI(base_url=f"{worker.address}/v1", api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(AuthenticationError) as refused:
            stranger.models.list()
        assert refused.value.code == "invalid_api_key"
    with (
        serving(queue_limit=0) as narrow,
        OpenAI(base_url=f"{narrow.address}/v1", api_key=KEY, max_retries=0, timeout=60) as client,
    ):
        asked: dict[str, Any] = {"model": MODEL_ID, "prompt": "On and on", "extra_body": {"ignore_eos": True}}
        streams = [client.completions.create(stream=True, **asked) for _ in range(4)]
        try:
            with pytest.raises(RateLimitError) as busy:
                client.completions.create(max_tokens=1, **asked)
        finally:
            for stream in streams:
                stream.close()
        assert int(busy.value.response.headers["retry-after"]) >= 1
