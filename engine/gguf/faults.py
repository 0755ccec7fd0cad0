"""The sentences for files that cannot be a model. Each names the file and the fault."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ModelFileError

_AGAIN = "Download it again, or ask whoever made it."

_KNOWN_STARTS = (
    (b"version https://git", "a pointer left by Git LFS in place of the model"),
    (b"<", "a web page"),
    (b"PK", "a ZIP archive or a PyTorch model"),
    (b"lmgg", "a model in the old GGML format"),
    (b"tjgg", "a model in the old GGJT format"),
    (b"algg", "a LoRA adapter in the old GGLA format"),
    (b"fmgg", "a model in the old GGMF format"),
    (b"\x80", "a Python pickle"),
    (b"{", "a JSON text"),
)


def not_gguf(path: Path, start: bytes) -> ModelFileError:
    """A file that is something else; ``start`` are its first bytes."""
    if not start:
        return ModelFileError("not_gguf", f"{path.name} is empty.", _AGAIN)
    if start.startswith(b"GGUF"):
        return truncated(path, f"it ends after {len(start)} bytes")
    if start[8:10] == b'{"':
        return ModelFileError("not_gguf", f"{path.name} is not a GGUF file, but a model in the safetensors format.")
    for known, what in _KNOWN_STARTS:
        if start.startswith(known):
            return ModelFileError("not_gguf", f"{path.name} is not a GGUF file, but {what}.")
    return ModelFileError("not_gguf", f"{path.name} is not a GGUF file: it does not start with the letters GGUF.")


def truncated(path: Path, what: str) -> ModelFileError:
    return ModelFileError("truncated", f"{path.name} is incomplete: {what}.", _AGAIN)


def damaged(path: Path, what: str) -> ModelFileError:
    return ModelFileError("damaged", f"{path.name} is damaged: {what}.", _AGAIN)


def unsupported(path: Path, what: str, hint: str = "Look for a newer conversion of the model.") -> ModelFileError:
    return ModelFileError("unsupported", f"{path.name} cannot be used: {what}.", hint)


def not_a_model(path: Path, what: str, hint: str = "") -> ModelFileError:
    return ModelFileError("not_a_model", f"{path.name} is not a model by itself: {what}.", hint)
