"""``gatehouse serve``: the worker's API for other programs, until told to stop.

The worker is restarted on the same port when it dies. Who may call it is settled here: loopback is open unless there is
a key, every other address needs one.
"""

from __future__ import annotations

import concurrent.futures
import ipaddress
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

from app.bootstrap import Product
from app.cli import printer
from app.cli.opening import ready_model
from app.events import Event, NoticeRaised
from app.models.records import Serving
from app.providers.provider import Endpoint
from engine.errors import GatehouseError, WorkerError
from engine.fit.plan import Plan

KEY_VARIABLE = "GATEHOUSE_API_KEY"
_MAX_KEY_FILE_BYTES = 64 << 10
_GLANCE_S = 0.5
"""How often the main thread looks up while it waits: an endless wait would not hear Ctrl+C on Windows."""


def read_keys(key_file: Path | None) -> tuple[str, ...]:
    """Keys from the environment and the file, never from arguments, which every user of the machine can read."""
    lines = [os.environ.get(KEY_VARIABLE, "")]
    if key_file is not None:
        with key_file.open("rb") as file:
            lines += file.read(_MAX_KEY_FILE_BYTES).decode("utf-8", "replace").splitlines()
    keys = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if key_file is not None and not keys:
        raise GatehouseError("no_key", f"The file {key_file} holds no key.")
    if not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise GatehouseError("bad_key", "A key may hold printable ASCII characters only, without spaces.")
    return keys


def settle(
    host: str, port: int, keys: tuple[str, ...], *, users: int | None = None, n_ctx: int | None = None
) -> Serving:
    """Check who may reach the API, and fix the port so that a restarted worker has the same.

    Raises ``GatehouseError`` for an open address without a key, or one that cannot be had: a model may take minutes to
    load, and nobody should learn of it only then.
    """
    if not keys and not _is_loopback(host):
        raise GatehouseError(
            "key_required",
            f"Others could reach {host}, so an API key is needed.",
            f"Set {KEY_VARIABLE}, give --api-key-file, or stay on 127.0.0.1.",
        )
    return Serving(host, _had_port(host, port), keys, private=False, users=users, n_ctx=n_ctx)


def serve(product: Product, serving: Serving, model_id: str | None, *, as_json: bool) -> None:
    """Load, print the address, wait. Raises ``WorkerError`` when the worker cannot be kept alive."""
    ending = threading.Event()
    given_up: list[NoticeRaised] = []

    def on_event(event: Event) -> None:
        if not isinstance(event, NoticeRaised):
            return
        if event.level == "error":
            given_up.append(event)
            ending.set()
        else:
            printer.complain(f"{event.sentence} {event.hint}".rstrip())

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        ending.set()

    former = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    unsubscribe = product.services.bus.subscribe(on_event)
    try:
        loading = product.core.submit(ready_model(product, model_id))
        while not (loading.done() or ending.is_set()):
            concurrent.futures.wait([loading], timeout=_GLANCE_S)
        if loading.done():
            _announce(loading.result(), serving, product.models.loaded().plan, as_json)
        else:
            loading.cancel()
        while not ending.wait(_GLANCE_S):
            continue
    finally:
        unsubscribe()
        for number, handler in former.items():
            signal.signal(number, handler)
    if given_up:
        raise WorkerError(given_up[0].code, given_up[0].sentence, given_up[0].hint)


def _announce(endpoint: Endpoint, serving: Serving, plan: Plan | None, as_json: bool) -> None:
    parts = plan.n_parts if plan is not None else 1
    if plan is not None and serving.users is not None and parts == 1:
        told = f"The {serving.users} users share one context of {plan.n_ctx:,} tokens"
        printer.complain(f"{told}: this model's memory does not come in parts.")
    if not as_json:
        printer.line(endpoint.address)
        return
    fields = {
        "address": endpoint.address,
        "model": endpoint.model_id,
        "api_key_required": bool(serving.api_keys),
        "n_ctx": endpoint.n_ctx,
        "users": parts if parts > 1 else None,
        "device": endpoint.device,
    }
    printer.as_json(fields, one_line=True)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _had_port(host: str, port: int) -> int:
    """The port, or for 0 one that is free, after a moment of having it as the worker will."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if sys.platform != "win32":  # there it would let two programs share a port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        if port:
            raise GatehouseError(
                "address_in_use",
                f"The address {host}:{port} cannot be used: {error.strerror or error}.",
                "Choose another port.",
            ) from error
        raise GatehouseError("bad_host", f"This machine cannot listen on {host}: {error.strerror or error}.") from error
