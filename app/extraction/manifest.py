"""What it takes to repeat a result, written down with it: model, prompt, schema, examples, versions.

A manifest is a JSON text with sorted keys; its SHA-256 names it. A result is sealed together with the file's hash and
its manifest's name, so that neither can be changed without the seal telling.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Final

from app.extraction.records import Example, Extraction
from app.extraction.schema import Schema
from app.version import version
from engine.records import to_plain

_BLOCK_BYTES: Final = 1 << 20
_LIBRARIES: Final = (
    "llama-cpp-python",
    "llguidance",
    "pypdfium2",
    "pdfplumber",
    "rapidocr",
    "onnxruntime",
    "pillow",
    "python-docx",
    "openpyxl",
    "python-pptx",
    "msoffcrypto-tool",
    "selectolax",
    "rapidfuzz",
    "dateparser",
    "price-parser",
    "python-stdnum",
)
"""Whatever can change what is read or how it is judged."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model it was, by its bytes."""

    id: str
    sha256: str
    """Empty when the file cannot be read."""
    size_bytes: int
    n_ctx: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's text and its name."""

    sha256: str
    body: str


def write_manifest(schema: Schema, model: ModelIdentity, examples: Sequence[Example], prompt_sha256: str) -> Manifest:
    """What a result was made with."""
    fields: dict[str, Any] = {
        "gatehouse": version(),
        "model": to_plain(model),
        "schema": to_plain(schema),
        "prompt_sha256": prompt_sha256,
        "examples": [_digest(_canonical(to_plain(example))) for example in examples],
        "sampling": {"temperature": 0.0},
        "libraries": _versions(),
    }
    body = _canonical(fields)
    return Manifest(_digest(body), body)


def seal(key: bytes, file_sha256: str, manifest_sha256: str, extraction: Extraction) -> str:
    """HMAC-SHA-256 over a result: changes of the file's hash, the manifest or any value show. An empty key only shows
    accidents."""
    plain = [file_sha256, manifest_sha256, extraction.model, extraction.prompt_sha256]
    values = [to_plain(value) for value in extraction.values]
    return hmac.new(key, _canonical([*plain, values]).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def whole_manifest(
    batch: Mapping[str, object], settings: Mapping[str, str], files: Sequence[tuple[str, str, str, str]], key: bytes
) -> str:
    """A batch's manifest for a person: its settings by their names, each file with hash, setting and seal, and a seal
    over all."""
    body: dict[str, object] = {
        "batch": dict(batch),
        "settings": {name: json.loads(text) for name, text in settings.items()},
        "files": [
            {"file": path, "sha256": sha256, "setting": manifest, "seal": sealed}
            for path, sha256, manifest, sealed in files
        ],
    }
    body["seal"] = hmac.new(key, _canonical(body).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return json.dumps(body, ensure_ascii=False, indent=2)


def hash_file(path: Path) -> str:
    """SHA-256 of a file in blocks; blocks on the disk. Raises ``OSError``."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@cache
def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version_of(name)
        except PackageNotFoundError:
            continue
    return found


def _canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
