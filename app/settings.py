"""The person's settings: a frozen record in one JSON file, replaced atomically."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.routing import thresholds
from app.routing.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class SettingsValues:
    """All settings, with their defaults."""

    appearance: Literal["system", "light", "dark"] = "system"
    last_model_id: str | None = None
    last_n_ctx: int | None = None
    """The context that the last model was loaded with by hand; ``None`` if by the planner's choice."""
    last_conversation_id: str | None = None
    load_last_model: bool = True
    n_ctx: int | None = None
    """Context asked of models; ``None`` lets the planner choose."""
    temperature: float = 0.7
    top_p: float = 0.9
    repeat_penalty: float = 1.1
    """Above 1, words of the last sentences become less likely, which keeps small models from running in circles."""
    max_tokens: int | None = 2048
    """Ends an answer that runs in circles, as small models do; ``None`` lets it fill the context."""
    system_prompt: str = "You are a helpful assistant."
    """For conversations without their own. Without any, templates of small models put in words that confuse them."""
    kept_states_budget_bytes: int = 2 << 30
    """For what the model remembers of past conversations, encrypted on disk; 0 keeps nothing."""
    rpc_endpoints: tuple[str, ...] = ()
    """For experts: ``HOST:PORT`` of ggml RPC servers on this machine that count as cards. Whoever listens there sees
    weights and activations, so other machines are refused (``app.models.stand_ins``)."""
    relock_minutes: int | None = 15
    """A store with a passphrase is locked when nobody has touched the window for so long; ``None`` never does it."""
    recogniser: Literal["built_in", "tesseract"] = "built_in"
    """What reads the words of scans: ours, or Tesseract where it is installed."""
    offline: bool = False
    """Where earlier versions had the switch; it is ``app.gate.offline``'s now."""
    routing: Thresholds = field(default_factory=Thresholds)
    """When a prompt counts as hard and an answer as doubtful."""
    welcome_done: bool = False
    window_geometry: str = ""
    """Qt's saved geometry, base64."""
    window_page: str = ""
    """The page that was in front when the window was closed; empty for the first one."""
    chat_list_px: int = 0
    """How wide the person made the list of conversations; 0 for the usual width."""
    documents_list_px: int = 0
    """The same for the list of batches and files."""


class Settings:
    """Reads once, writes each change. Unknown keys in the file are kept, wrong types fall back to the default."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unknown: dict[str, object] = {}
        self._updating = threading.Lock()
        self.values = self._read()

    @property
    def path(self) -> Path:
        return self._path

    def update(self, **changes: object) -> SettingsValues:
        """Replace some values and write them, from any thread. Raises ``OSError`` when the disk refuses.

        The values hold even then, for the rest of this run.
        """
        with self._updating:
            self.values = dataclasses.replace(self.values, **changes)  # type: ignore[arg-type]
            self._write()
            return self.values

    def _read(self) -> SettingsValues:
        try:
            raw = json.loads(self._path.read_text("utf-8"))
        except (FileNotFoundError, ValueError, RecursionError):
            return SettingsValues()
        if not isinstance(raw, dict):
            return SettingsValues()
        defaults = SettingsValues()
        known = {one.name for one in dataclasses.fields(SettingsValues)}
        self._unknown = {key: value for key, value in raw.items() if key not in known}
        accepted: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in raw.items()
            if key in known and _acceptable(key, value, defaults)
        }
        return dataclasses.replace(defaults, **accepted, routing=thresholds.read(raw.get("routing")))

    def _write(self) -> None:
        payload = {**self._unknown, **dataclasses.asdict(self.values)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".settings-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(payload, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


_CHOICES = {"appearance": ("system", "light", "dark")}
_OPTIONAL = {
    "relock_minutes": int,
    "last_model_id": str,
    "last_n_ctx": int,
    "last_conversation_id": str,
    "n_ctx": int,
    "max_tokens": int,
}
RANGES = {
    "temperature": (0.0, 2.0),
    "top_p": (0.05, 1.0),
    "repeat_penalty": (1.0, 2.0),
    "kept_states_budget_bytes": (0, 1 << 40),
}
"""What the worker accepts and a person can mean; the window's fields end there too."""


def _acceptable(key: str, value: object, defaults: SettingsValues) -> bool:
    if key in _CHOICES:
        return value in _CHOICES[key]
    if key in _OPTIONAL:
        right = isinstance(value, _OPTIONAL[key]) and not isinstance(value, bool)
        return value is None or (right and not (isinstance(value, int) and value <= 0))
    default = getattr(defaults, key)
    if isinstance(default, tuple):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if key in RANGES:
        whole = isinstance(default, int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return False
        least, most = RANGES[key]
        return least <= value <= most
    return type(value) is type(default)
