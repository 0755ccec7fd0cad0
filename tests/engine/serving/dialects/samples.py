"""What models of each family write, by hand after their templates, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.serving.dialects.deepseek import DEEPSEEK
from engine.serving.dialects.dialect import Dialect
from engine.serving.dialects.gemma import GEMMA
from engine.serving.dialects.glm import GLM
from engine.serving.dialects.harmony import HARMONY
from engine.serving.dialects.hermes import HERMES, PHI
from engine.serving.dialects.invoke import DSML, MINIMAX
from engine.serving.dialects.kimi import KIMI
from engine.serving.dialects.lfm import LFM
from engine.serving.dialects.llama import LLAMA
from engine.serving.dialects.mistral import MISTRAL
from engine.serving.dialects.qwen_coder import QWEN_CODER

TOOLS: dict[str, Any] = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "where": {"type": "object"}},
        "required": ["city"],
    },
    "now": {"type": "object", "properties": {}},
}


@dataclass(frozen=True)
class Sample:
    """One answer and its reading; ``calls`` are (name, arguments)."""

    dialect: Dialect
    text: str
    content: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    prompt_end: str = ""
    ids: tuple[str, ...] = ()


PARIS = ("weather", {"city": "Paris", "days": 2})
NOW: tuple[str, dict[str, Any]] = ("now", {})

SAMPLES = {
    "hermes": Sample(
        HERMES,
        'Let me see.\n\n<tool_call>\n{"name": "weather", "arguments": {"city": "Paris", "days": 2}}\n</tool_call>',
        content="Let me see.",
        calls=(PARIS,),
    ),
    "hermes, two and reasoning": Sample(
        HERMES,
        '<think>\nThe person asks </b>.\n</think>\n\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>\n'
        '<tool_call>\n{"arguments": {"city": "Paris", "days": 2}, "name": "weather"}\n</tool_call>',
        reasoning="The person asks </b>.",
        calls=(NOW, PARIS),
    ),
    "hermes, opened in the prompt": Sample(
        HERMES, "so so\n</think>\n\n Yes.", content="Yes.", reasoning="so so", prompt_end="assistant\n<think>\n"
    ),
    "hermes, brackets in strings": Sample(
        HERMES,
        '<tool_call>{"name": "weather", "arguments": {"city": "a}\\"]{", "where": {"x": [1, {"y": "</tool_call>"}]}}}'
        "</tool_call> done",
        content="done",
        calls=(("weather", {"city": 'a}"]{', "where": {"x": [1, {"y": "</tool_call>"}]}}),),
    ),
    "hermes, no call": Sample(
        HERMES,
        'Write <tool_call> like this: <tool_call>{"name": 5}</tool_call>, then <tool',
        content='Write <tool_call> like this: <tool_call>{"name": 5}</tool_call>, then <tool',
    ),
    "hermes, a call after no call": Sample(
        HERMES,
        '<tool_call> is a tag <tool_call>{"name": "now", "arguments": null}</tool_call>',
        content="<tool_call> is a tag",
        calls=(NOW,),
    ),
    "hermes, arguments as text": Sample(
        HERMES,
        '<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\", \\"days\\": 2}"}</tool_call>',
        calls=(PARIS,),
    ),
    "hermes, fenced": Sample(
        HERMES,
        'So:\n```json\n{\n  "name": "weather",\n  "arguments": {"city": "Paris", "days": 2}\n}\n```',
        content="So:",
        calls=(PARIS,),
    ),
    "hermes, fenced but no tool": Sample(
        HERMES,
        '```json\n{"name": "Ann", "arguments": {}}\n``` and\n```json\n[1]\n```',
        content='```json\n{"name": "Ann", "arguments": {}}\n``` and\n```json\n[1]\n```',
    ),
    "phi": Sample(
        PHI,
        '<|tool_call|>[{"name": "now", "arguments": {}}, {"name": "weather", "arguments": {"city": "Paris", '
        '"days": 2}}]<|/tool_call|>',
        calls=(NOW, PARIS),
    ),
    "qwen coder": Sample(
        QWEN_CODER,
        "Good.\n<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n2\n"
        "</parameter>\n</function>\n</tool_call>",
        content="Good.",
        calls=(PARIS,),
    ),
    "qwen coder, many lines": Sample(
        QWEN_CODER,
        'thought\n</think>\n\n<tool_call>\n<function=weather>\n<parameter=city>\n\n <b>"Pa\\ris"</b>\n\n</parameter>\n'
        '<parameter=where>\n{"x": [true, null]}\n</parameter>\n</function>\n<f'
        "unction=now>\n</function>\n</tool_call>\n",
        reasoning="thought",
        calls=(("weather", {"city": '\n <b>"Pa\\ris"</b>\n', "where": {"x": [True, None]}}), NOW),
        prompt_end="<|im_start|>assistant\n<think>\n",
    ),
    "qwen coder, no outer tag, no line breaks": Sample(
        QWEN_CODER,
        "<function=weather><parameter=city>5</parameter><parameter=days>soon</parameter></function></tool_call>",
        calls=(("weather", {"city": "5", "days": "soon"}),),
    ),
    "glm": Sample(
        GLM,
        "ok</think>Sure.\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>days"
        "</arg_key>\n<arg_value>2</arg_value>\n</tool_call>\n<tool_call>now</tool_call>",
        content="Sure.",
        reasoning="ok",
        calls=(PARIS, NOW),
        prompt_end="<|assistant|><think>",
    ),
    "llama": Sample(LLAMA, '{"name": "weather", "parameters": {"city": "Paris", "days": 2}}', calls=(PARIS,)),
    "llama, tag and two": Sample(
        LLAMA,
        '<|python_tag|>{"type": "function", "name": "now", "parameters": {}}; {"name": "weather", "parameters": '
        '{"city": "Paris", "days": 2}}',
        calls=(NOW, PARIS),
    ),
    "llama, python": Sample(LLAMA, "[weather(city='Paris', days=2), now()]", calls=(PARIS, NOW)),
    "llama, json that is no call": Sample(
        LLAMA, '{"name": "Ann", "parameters": {"age": 5}} ', content='{"name": "Ann", "parameters": {"age": 5}} '
    ),
    "mistral, a list": Sample(
        MISTRAL,
        '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Paris", "days": 2}, "id": "abcdefghi"}, '
        '{"name": "now", "arguments": {}}]',
        calls=(PARIS, NOW),
    ),
    "mistral, names": Sample(
        MISTRAL,
        '[THINK]Hm.[/THINK]I look.[TOOL_CALLS]weather[ARGS]{"city": "Paris", "days": 2}[TOOL_CALLS]now[CALL_ID]'
        "a1b2c3d4e[ARGS]{}",
        content="I look.",
        reasoning="Hm.",
        calls=(PARIS, NOW),
        ids=("", "a1b2c3d4e"),
    ),
    "harmony": Sample(
        HARMONY,
        "<|channel|>analysis<|message|>We need weather.<|end|><|start|>assistant<|channel|>commentary<|message|>I look."
        "<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>"
        '{"city": "Paris", "days": 2}<|call|>',
        content="I look.",
        reasoning="We need weather.",
        calls=(PARIS,),
        prompt_end="<|end|><|start|>assistant",
    ),
    "harmony, recipient first": Sample(
        HARMONY,
        " to=functions.now<|channel|>commentary json<|message|>{}",
        calls=(NOW,),
        prompt_end="<|start|>assistant",
    ),
    "harmony, final": Sample(
        HARMONY,
        "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>It is <b>4</b>.",
        content="It is <b>4</b>.",
        reasoning="Easy.",
        prompt_end="<|start|>assistant",
    ),
    "harmony, no header": Sample(HARMONY, '{"a": 1}', content='{"a": 1}', prompt_end="<|start|>assistant"),
    "gemma": Sample(
        GEMMA,
        '<|channel>thought\nHm {x}.\n<channel|>Look: <|tool_call>call:weather{city:<|"|>Paris<|"|>,days:2}<tool_call|>'
        '<|tool_call>call:now{}<tool_call|><|tool_call>call:weather{city:<|"|>a{b}:c<|"|>,where:{x:[1.5,true,'
        '<|"|>z<|"|>]}}<tool_call|>',
        content="Look:",
        reasoning="Hm {x}.",
        calls=(PARIS, NOW, ("weather", {"city": "a{b}:c", "where": {"x": [1.5, True, "z"]}})),
        prompt_end="<|turn>model\n",
    ),
    "gemma, no call": Sample(
        GEMMA, "<|tool_call>call:weather{city:}<tool_call|>.", content="<|tool_call>call:weather{city:}<tool_call|>."
    ),
    "lfm": Sample(
        LFM,
        "<|tool_call_start|>[weather(city='Paris', days=2), now()]<|tool_call_end|>Checking.",
        content="Checking.",
        calls=(PARIS, NOW),
    ),
    "lfm, mixed words": Sample(
        LFM,
        '<think>a</think><|tool_call_start|>[weather("it\'s", where={"x": [true, None, -1]})]<|tool_call_end|>',
        reasoning="a",
        calls=(("weather", {"city": "it's", "where": {"x": [True, None, -1]}}),),
    ),
    "lfm, no call": Sample(
        LFM,
        "<|tool_call_start|>[__import__('os').system('x')]<|tool_call_end|>",
        content="<|tool_call_start|>[__import__('os').system('x')]<|tool_call_end|>",
    ),
    "deepseek r1": Sample(
        DEEPSEEK,
        "hm</think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n"
        '{"city": "Paris", "days": 2}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin'
        "｜>function<｜tool▁sep｜>now\n```json\n{}\n"
        "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        reasoning="hm",
        calls=(PARIS, NOW),
        prompt_end="<｜Assistant｜><think>\n",
    ),
    "deepseek v3.1": Sample(
        DEEPSEEK,
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{"city": "P'
        'aris", "days": 2}<｜tool▁call▁end｜>'
        "<｜tool▁calls▁end｜>",
        calls=(PARIS,),
        prompt_end="<｜Assistant｜></think>",
    ),
    "minimax": Sample(
        MINIMAX,
        '</think>\n\n<minimax:tool_call>\n<invoke name="weather">\n<parameter '
        'name="city">Paris</parameter>\n<parameter '
        'name="days">2</parameter>\n</invoke>\n<invoke name="now">\n</invoke>\n</minimax:tool_call>',
        calls=(PARIS, NOW),
        prompt_end="]~b]ai\n<think>\n",
    ),
    "dsml": Sample(
        DSML,
        'Sure.\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name="weather">\n<｜DSML｜pa'
        'rameter name="city" string="true">Paris'
        '</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        "</｜DSML｜tool_calls>",
        content="Sure.",
        calls=(PARIS,),
        prompt_end="</think>",
    ),
    "kimi": Sample(
        KIMI,
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|t"
        'ool_call_argument_begin|>{"city": "Paris", '
        '"days": 2}<|tool_call_end|><|tool_call_begin|>functions.now:1<|tool_call_argument_begin|>{}<|tool_call_end|>'
        "<|tool_calls_section_end|>",
        calls=(PARIS, NOW),
        ids=("functions.weather:0", "functions.now:1"),
    ),
}
