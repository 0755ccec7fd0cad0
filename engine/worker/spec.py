"""What a worker is told at birth, and what it tells back: one JSON line in, JSON lines out.

Secrets travel here and nowhere else: not in arguments, not in the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engine.fit.concession import Concession
from engine.fit.plan import Plan


@dataclass(frozen=True, slots=True)
class KeptStates:
    """Where and how the memory of idle conversations is kept on disk."""

    folder: Path
    budget_bytes: int
    """Of all files together; 0 keeps nothing."""
    key: str = field(repr=False)
    """The store's key, 32 bytes as hexadecimal digits."""
    idle_s: float = 10.0
    """How long a conversation rests before it is written."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker's whole configuration."""

    plan: Plan
    model_id: str
    """The name under which the API offers the model."""
    host: str
    port: int
    """0 lets the system choose."""
    api_keys: tuple[str, ...]
    """Accepted bearer tokens. Empty: no token needed; allowed on loopback only."""
    parent_pid: int
    """The worker exits when this process is gone."""
    queue_limit: int = 256
    watch_experts: bool = False
    """Count which experts are picked from the first token on; it can also be switched on later."""
    rpc_endpoints: tuple[str, ...] = ()
    """``HOST:PORT`` of ggml RPC servers to add as devices; loopback stand-ins for a card in tests."""
    kept_states: KeptStates | None = None
    """``None``: nothing is kept on disk."""


@dataclass(frozen=True, slots=True)
class Starting:
    """The process exists; nothing is loaded yet."""

    pid: int


@dataclass(frozen=True, slots=True)
class Loading:
    """Weights are being read."""

    progress_ratio: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker answers at ``address`` (``http://127.0.0.1:PORT``)."""

    pid: int
    address: str
    load_s: float
    buffers: tuple[tuple[str, str, int], ...]
    """What llama.cpp really allocated: (device buffer name, weights | kv | recurrent | compute | output, bytes)."""
    allowances: tuple[tuple[str, int], ...] = ()
    """(device, bytes) taken beyond that, where it could be measured: driver context and pools, the process itself."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker is gone, or could not load; ``code`` names the cause and decides whether a smaller plan is tried."""

    code: str
    sentence: str
    hint: str
    evidence: str
    """Exit code or signal and the last lines of its log, for the details pane."""
    free: tuple[tuple[str, int], ...] = ()
    """Free bytes of each device of the plan after everything was let go; empty where nobody looked."""
    concessions: tuple[Concession, ...] = ()
    """For want of memory: what can be given up, at most three ways, to be offered to the person."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker was asked to end and did."""


WorkerState = Starting | Loading | Ready | Failed | Stopped


@dataclass(frozen=True, slots=True)
class Alive:
    """The heartbeat, each second; not a state. A busy worker whose ``steps`` stand still is hung."""

    busy: bool
    steps: int
    """Engine steps since the start."""


WorkerEvent = WorkerState | Alive
"""All that a worker writes to its standard output, one JSON line each: see ``engine.worker.wire``."""
