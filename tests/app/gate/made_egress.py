"""A real way out for tests: egress, ledger and offline switch over a real store, with name servers that tests play."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from app.gate.egress import Egress
from app.gate.label import GateMode, Label
from app.gate.ledger import Ledger
from app.gate.offline import Offline
from app.gate.passage import Patience
from app.gate.permit import Permit
from app.gate.records import Provider
from app.lanes import StoreLane
from app.paths import Paths
from app.providers.provider import PromptMessage
from app.providers.remote import RemoteProvider
from app.providers.remote_wire import request_body
from app.settings import Settings

LEDGER_KEY = b"k" * 32
QUICK = Patience(connect_s=2.0, connect_pause_s=0.01, first_byte_s=0.4, stall_s=0.3, total_s=20.0, answer_bytes=4 << 20)
PROMPT = (PromptMessage("system", "Be brief."), PromptMessage("user", "Good day"))


class KnownKeys:
    """Keys by provider."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.keys = dict(keys)

    def read(self, provider_id: str) -> str | None:
        return self.keys.get(provider_id)


def no_names(host: str, port: int) -> Sequence[str]:
    """A name server that knows only addresses."""
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)]
    except socket.gaierror:
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None


class MadeEgress:
    """Make it in a running loop."""

    def __init__(self, lane: StoreLane, paths: Paths, resolve: Callable[[str, int], Sequence[str]] = no_names) -> None:
        self.settings = Settings(paths.settings)
        self.offline = Offline(self.settings)
        self.ledger = Ledger(lane, lambda: [LEDGER_KEY], paths.data)
        self.egress = Egress(self.ledger, self.offline, resolve)
        self.keys = KnownKeys({"p": "sk-good-0123456789abcdef"})
        self.now = 1000.0
        self.provider = RemoteProvider(self.egress, self.keys, QUICK, lambda: self.now)


def provider_at(base_url: str, model: str = "good", **changes: object) -> Provider:
    made = Provider("p", "Example", base_url, model, "cloud", 8192, 2.0, 10.0, True)
    return replace(made, **changes)  # type: ignore[arg-type]


def body_for(provider: Provider, max_tokens: int | None = 400) -> bytes:
    return request_body(provider, PROMPT, max_tokens=max_tokens)


async def passes(_: bytes) -> None:
    """A final check that finds nothing."""


def permit_for(provider: Provider, body: bytes, **changes: object) -> Permit:
    made = Permit(
        "answer",
        provider.base_url,
        provider.trust,
        "sheet",
        provider=provider.name,
        model=provider.model,
        conversation_id="c1",
        label=Label.INTERNAL,
        mode=GateMode.ASK,
        body_sha256=hashlib.sha256(body).hexdigest(),
        prompt_tokens=20,
        cost_usd_at_most=0.01,
        redactions={"PERSON": 2},
        final_check=passes,
    )
    return replace(made, **changes)  # type: ignore[arg-type]
