"""Ways in which a string may be wrapped on its way out, for the tests and benches of the last look."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote


def _base64_at(shift: int) -> Callable[[str], str]:
    return lambda text: base64.b64encode(b"x" * shift + text.encode() + b"tail").decode()


def _wide_escapes(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "upper": str.upper,
    "lower": str.lower,
    "json": lambda text: json.dumps(text)[1:-1],
    "json twice": lambda text: json.dumps(json.dumps(text)),
    "every character escaped": _wide_escapes,
    "escaped twice": lambda text: _wide_escapes(text).replace("\\", "\\\\"),
    "url": lambda text: quote(text, safe=""),
    "url of every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "url twice": lambda text: quote(quote(text, safe=""), safe=""),
    "html": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "html hex": lambda text: "".join(f"&#x{ord(character):x};" for character in text),
    "html named": lambda text: html.escape(text).replace(" ", "&nbsp;"),
    "base64 at 0": _base64_at(0),
    "base64 at 1": _base64_at(1),
    "base64 at 2": _base64_at(2),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 over lines": lambda text: base64.encodebytes((text * 3).encode()).decode().replace("\n", "\r\n"),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex in groups": lambda text: text.encode().hex(" ").upper(),
    "hex with signs": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "no spaces": lambda text: "".join(text.split()),
    "spaced": lambda text: " ".join(text),
    "signs between": lambda text: "-".join(text),
    "over lines": lambda text: text.replace(" ", "\n"),
    "reversed": lambda text: text[::-1],
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "zero width": lambda text: "\u200b".join(text),
    "tags": lambda text: "".join(chr(0xE0000 + ord(c)) if " " <= c <= "~" else c for c in text),
    "soft hyphens": lambda text: "\u00ad".join(text),
}
"""By name. Whatever is made of a string must not get past ``app.gate.leaks``."""
