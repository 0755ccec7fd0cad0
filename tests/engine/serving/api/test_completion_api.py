"""Plain completions through the openai package."""

from __future__ import annotations

import httpx2
import pytest
from openai import OpenAI

from tests.engine.served import MODEL_ID

pytestmark = pytest.mark.native


def test_text_and_its_tokens_are_the_same_prompt(client: OpenAI, http: httpx2.Client) -> None:
    text = "Once upon a time"
    tokens = http.post("/tokenize", json={"content": text}).json()["tokens"]
    by_text = client.completions.create(model=MODEL_ID, prompt=text, max_tokens=8, temperature=0)
    by_tokens = client.completions.create(model=MODEL_ID, prompt=tokens, max_tokens=8, temperature=0)
    assert by_text.choices[0].text == by_tokens.choices[0].text != ""
    assert by_text.usage is not None
    assert by_text.usage.prompt_tokens == len(tokens)


def test_several_prompts_and_choices_are_numbered_in_order(client: OpenAI) -> None:
    alone = [
        client.completions.create(model=MODEL_ID, prompt=prompt, max_tokens=5, temperature=0).choices[0].text
        for prompt in ("One two", "Red green")
    ]
    together = client.completions.create(
        model=MODEL_ID, prompt=["One two", "Red green"], n=2, max_tokens=5, temperature=0
    )
    assert [choice.index for choice in together.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in together.choices] == [alone[0], alone[0], alone[1], alone[1]]
    assert together.usage is not None
    assert together.usage.completion_tokens == 20


def test_the_prompt_is_echoed_when_asked_for(client: OpenAI) -> None:
    asked = {"model": MODEL_ID, "prompt": "Once upon a", "max_tokens": 4, "temperature": 0}
    plain = client.completions.create(**asked).choices[0].text  # type: ignore[call-overload]
    with client.completions.create(**asked, echo=True, stream=True) as stream:  # type: ignore[call-overload]
        streamed = "".join(chunk.choices[0].text for chunk in stream if chunk.choices)
    assert streamed == "Once upon a" + plain


def test_logprobs_have_the_older_shape(client: OpenAI) -> None:
    answer = client.completions.create(model=MODEL_ID, prompt="The sun", max_tokens=4, temperature=0, logprobs=2)
    shown = answer.choices[0].logprobs
    assert shown is not None
    assert shown.tokens is not None
    assert shown.text_offset is not None
    assert shown.top_logprobs is not None
    assert "".join(shown.tokens) == answer.choices[0].text
    assert [answer.choices[0].text[at:][: len(t)] for at, t in zip(shown.text_offset, shown.tokens, strict=True)] == (
        shown.tokens
    )
    assert all(len(top) >= 2 for top in shown.top_logprobs)


def test_penalties_and_biases_reach_the_sampler(client: OpenAI, http: httpx2.Client) -> None:
    banned = http.post("/tokenize", json={"content": " the"}).json()["tokens"][0]
    prompt = "the the the the the the the"
    asked = {"model": MODEL_ID, "prompt": prompt, "max_tokens": 6, "temperature": 0}
    plain = client.completions.create(**asked).choices[0].text  # type: ignore[call-overload]
    biased = client.completions.create(**asked, logit_bias={str(banned): -100}).choices[0].text  # type: ignore[call-overload]
    penalised = client.completions.create(**asked, frequency_penalty=2.0).choices[0].text  # type: ignore[call-overload]
    assert " the" in plain
    assert biased != plain
    assert penalised != plain


def test_tokens_survive_the_way_there_and_back(http: httpx2.Client) -> None:
    text = "Grüße, 世界! 👩‍👩‍👧 <|im_end|> \t\n x"
    answer = http.post("/tokenize", json={"content": text}).json()
    assert answer["count"] == len(answer["tokens"])
    assert http.post("/detokenize", json={"tokens": answer["tokens"]}).json()["content"] == text
