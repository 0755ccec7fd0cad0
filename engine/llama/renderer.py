"""A child process that renders chat templates, because a template may loop or grow without end.

A template comes from a model file, so it is a stranger's program. Jinja's sandbox keeps it from the system, but not
from burning time and memory, and a thread cannot be ended. So it runs here, with a memory limit where the system has
one, and ``template.py`` ends this process when it is late. One JSON line in, one out, until standard input closes.

Contents, calls, tools and options go in as :class:`Foreign` text. To the template it behaves as the real string,
whatever it compares, strips or splits; written out, it becomes a mark that nobody can guess, so that the parts of the
result that came from outside are known afterwards.
"""

from __future__ import annotations

import datetime
import json
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final, NoReturn, SupportsIndex

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

if sys.platform != "win32":
    import resource

MAX_OUTPUT_CHARS: Final = 16 << 20
"""Of the template's own text; contents do not count."""
MAX_MEMORY_BYTES: Final = 1 << 30
MAX_CPU_S: Final = 10


class TemplateRefused(Exception):
    """The template itself called ``raise_exception``."""


class _Marks:
    """The foreign texts of one rendering, by mark."""

    def __init__(self) -> None:
        self._key = secrets.token_hex(16)
        self.texts: list[str] = []
        self.pattern = re.compile(f"{self._key}:([0-9]+);")

    def add(self, text: str) -> str:
        self.texts.append(text)
        return f"{self._key}:{len(self.texts) - 1};"

    def escaped(self, text: str) -> str:
        """JSON in which marks stand: what they stand for is escaped too."""
        return self.pattern.sub(
            lambda match: self.add(json.dumps(self.texts[int(match[1])], ensure_ascii=False)[1:-1]), text
        )

    def plain(self, text: str) -> str:
        """Text in which marks stand, for people."""
        return self.pattern.sub(lambda match: self.texts[int(match[1])], text)


_MARKS: ContextVar[_Marks] = ContextVar("marks")
"""Of the rendering at work."""


def _forwarded(name: str) -> Callable[..., Any]:
    """A string method that works on the real text and returns foreign text again."""

    def method(self: Foreign, *args: Any, **kwargs: Any) -> Any:
        plain = [a._text if isinstance(a, Foreign) else a for a in args]
        return self._wrap(getattr(self._text, name)(*plain, **kwargs))

    return method


class Foreign(str):
    """Text from outside: its value is its mark, its behaviour that of the real text."""

    _text: str
    _marks: _Marks

    @classmethod
    def make(cls, text: str, marks: _Marks) -> Foreign:
        made = cls(marks.add(text))
        made._text, made._marks = text, marks
        return made

    def _wrap(self, result: Any) -> Any:
        if isinstance(result, str):
            return Foreign.make(result, self._marks) if result else ""
        if isinstance(result, (list, tuple)):
            return type(result)(self._wrap(item) for item in result)
        return result

    def __str__(self) -> str:  # some filters begin with str(value), and must not lose the text by it
        return self

    def __eq__(self, other: object) -> bool:
        return self._text == (other._text if isinstance(other, Foreign) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: str) -> bool:
        return self._text < _real(other)

    def __le__(self, other: str) -> bool:
        return self._text <= _real(other)

    def __gt__(self, other: str) -> bool:
        return self._text > _real(other)

    def __ge__(self, other: str) -> bool:
        return self._text >= _real(other)

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __len__(self) -> int:
        return len(self._text)

    def __contains__(self, part: object) -> bool:
        wanted = part._text if isinstance(part, Foreign) else part
        return isinstance(wanted, str) and wanted in self._text

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        part: str = self._wrap(self._text[key])
        return part

    def __iter__(self) -> Iterator[str]:
        return (Foreign.make(character, self._marks) for character in self._text)


def _real(text: str) -> str:
    return text._text if isinstance(text, Foreign) else text


_PURE = (
    "strip lstrip rstrip split rsplit splitlines partition rpartition lower upper title capitalize casefold swapcase "
    "replace removeprefix removesuffix startswith endswith find rfind index rindex count isdigit isalpha isalnum "
    "isspace isupper islower isnumeric isdecimal zfill center ljust rjust expandtabs"
)
for _name in _PURE.split():
    setattr(Foreign, _name, _forwarded(_name))


def _raise_exception(message: object) -> NoReturn:
    raise TemplateRefused(str(message)[:500])


def _strftime_now(pattern: str) -> str:
    return datetime.datetime.now().astimezone().strftime(pattern)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As chat templates expect it, with what is foreign in it still foreign."""
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    return _MARKS.get().escaped(text)


def _from_json(text: str) -> Any:
    return _foreign(json.loads(_real(text)), _MARKS.get())


class _Generation(Extension):
    """``{% generation %}`` marks the assistant's part for training; here it is only its content."""

    tags = {"generation"}  # noqa: RUF012  the base class declares it so

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def environment() -> ImmutableSandboxedEnvironment:
    """The sandbox with what published chat templates expect of it."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation], autoescape=False
    )
    made.filters["tojson"] = _tojson
    made.filters["from_json"] = _from_json
    made.globals["raise_exception"] = _raise_exception
    made.globals["strftime_now"] = _strftime_now
    made.globals.pop("lipsum", None)
    return made


def render(template: jinja2.Template, variables: dict[str, Any]) -> list[tuple[bool, str]]:
    """The rendering as (trusted, text) pairs.

    ``variables``: ``messages``, ``tools`` and ``options`` come from outside; whatever else there is does not. Of a
    message, its role and its calls' types are the worker's own words.
    """
    marks = _Marks()
    _MARKS.set(marks)
    prepared = {name: value for name, value in variables.items() if name != "options"}
    prepared |= {name: _foreign(value, marks) for name, value in variables.get("options", {}).items()}
    prepared["messages"] = [_foreign_message(message, marks) for message in variables["messages"]]
    if "tools" in variables:
        prepared["tools"] = _foreign(variables["tools"], marks)
    written: list[str] = []
    size = 0
    try:
        for piece in template.generate(**prepared):
            size += str.__len__(piece)
            if size > MAX_OUTPUT_CHARS:
                raise TemplateRefused(f"the rendering is longer than {MAX_OUTPUT_CHARS:,} characters")
            written.append(piece)
    except TemplateRefused as error:
        raise TemplateRefused(marks.plain(str(error))[:500]) from None
    parts = marks.pattern.split("".join(written))
    pairs = [(True, part) if i % 2 == 0 else (False, marks.texts[int(part)]) for i, part in enumerate(parts)]
    return [(trusted, text) for trusted, text in pairs if text]


def _foreign_message(message: dict[str, Any], marks: _Marks) -> dict[str, Any]:
    made = {name: value if name == "role" else _foreign(value, marks) for name, value in message.items()}
    if isinstance(message["content"], dict):
        made["content"] = "".join(text if trusted else marks.add(text) for trusted, text in message["content"]["parts"])
    if "tool_calls" in message:
        made["tool_calls"] = [
            {name: value if name == "type" else _foreign(value, marks) for name, value in call.items()}
            for call in message["tool_calls"]
        ]
    return made


def _foreign(value: Any, marks: _Marks) -> Any:
    """The same with foreign strings, the keys of objects included."""
    if isinstance(value, str):
        return Foreign.make(value, marks) if value else ""
    if isinstance(value, dict):
        return {_foreign(name, marks): _foreign(item, marks) for name, item in value.items()}
    if isinstance(value, list):
        return [_foreign(item, marks) for item in value]
    return value


def _limit_memory() -> None:
    if sys.platform != "win32":
        limit = resource.RLIMIT_AS if sys.platform == "linux" else resource.RLIMIT_DATA
        resource.setrlimit(limit, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def _limit_time() -> None:
    """End this process if the next rendering runs wild while nobody is left to end it."""
    if sys.platform != "win32":
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + MAX_CPU_S, most))


def _answer(request: dict[str, Any], compiled: dict[str, jinja2.Template]) -> dict[str, Any]:
    source = request["template"]
    try:
        template = compiled.get(source)
        if template is None:
            compiled.clear()
            template = compiled[source] = environment().from_string(source)
        return {"parts": render(template, request["variables"])}
    except TemplateRefused as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"failed": "it needs too much memory"}
    except Exception as error:  # noqa: BLE001  whatever a stranger's program can raise
        return {"failed": f"{type(error).__name__}: {error}"[:500]}


def serve() -> None:
    """Answer requests until standard input ends."""
    _limit_memory()
    compiled: dict[str, jinja2.Template] = {}
    for line in sys.stdin.buffer:
        _limit_time()
        sys.stdout.buffer.write(json.dumps(_answer(json.loads(line), compiled)).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
