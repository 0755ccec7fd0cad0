"""Asks a hub: what a repository holds, which repositories there are, and ranges of a file's bytes.

The hub's records are read with ``huggingface_hub``, but every byte goes through the ``httpx2.Client`` that the caller
makes, so that one place can own all that leaves the machine: no token that the caller did not give, no telemetry, no
client shared with the rest of the process. Plain HTTP ranges are used also for files that a hub keeps in Xet storage,
because ``hf_xet`` brings its own connections, which could neither be owned nor paused, and both end in the same bytes.
Writing files is left to ``transfer.py``. This module is imported only when a hub is really asked.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import httpx2

from engine.errors import HubError
from engine.hub.endpoint import endpoint_of
from engine.hub.faults import failed, refused, wrong_answer
from engine.hub.patience import Failures, Halt, Halted, Hiccup, Patience
from engine.hub.repository import DEFAULT_REVISION, RemoteFile, Repository

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

ANSWER_LIMIT_BYTES: Final = 32 * 1_048_576
"""Of a description, not of a file."""
_USER_AGENT: Final = "gatehouse"
_SAFE_NAME = re.compile(r"^\w[\w .,+()=@&~-]{0,199}$")
_HASH = re.compile(r"^[0-9a-f]{64}$")
_RANGE = re.compile(r"^bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)$")

ClientFactory = Callable[[Patience], httpx2.Client]
"""Whoever makes the client owns what leaves: the engine has no way out of its own."""


class Stream:
    """An open answer with bytes of one file."""

    def __init__(self, response: httpx2.Response, start: int, total_bytes: int | None, linked_hash: str | None) -> None:
        self._response = response
        self.start = start
        """Where in the file the bytes begin; 0 when the server does not do ranges."""
        self.total_bytes = total_bytes
        """Of the whole file, as this answer claims."""
        self.linked_hash = linked_hash
        """The file's hash as the hub names it now, when it does."""

    def chunks(self) -> Iterator[bytes]:
        """Raises: ``Hiccup`` when the connection breaks off or falls silent."""
        host = self._response.request.url.host
        try:
            yield from self._response.iter_raw()
        except httpx2.RequestError as error:
            raise failed(error, host) from error

    def abort(self) -> None:
        """Wake a reader that waits for bytes. May be called from any thread; harmless when already over."""
        stream = self._response.extensions.get("network_stream")
        found = stream.get_extra_info("socket") if stream is not None else None
        if isinstance(found, socket.socket):
            try:
                # The plain method also under TLS: that of SSLSocket would pull the session from under the reader.
                socket.socket.shutdown(found, socket.SHUT_RDWR)
            except OSError:
                return


class HubClient:
    """One hub, or a mirror of it, with at most one token. Usable from several threads; close it at the end."""

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        token: str | None = None,
        make_client: ClientFactory,
        patience: Patience | None = None,
    ) -> None:
        self.endpoint = (endpoint_of() if endpoint is None else endpoint).rstrip("/")
        self.patience = patience or Patience()
        self._token = token
        self._client = make_client(self.patience)

    def __enter__(self) -> HubClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    @property
    def host(self) -> str:
        return httpx2.URL(self.endpoint).host

    def repository(self, repo: str, revision: str, halt: Halt) -> Repository:
        """What a repository holds at a revision. Raises: ``HubError``, ``Halted``."""
        path = f"/api/models/{quote(repo)}"
        if revision != DEFAULT_REVISION:
            path += f"/revision/{quote(revision, safe='')}"
        answer = self._ask(path, {"blobs": "true"}, repo, halt)
        info = _model_info(answer, self.host)
        if not info.sha:
            raise wrong_answer(self.host, f"it does not name the commit of {repo}")
        return Repository(
            id=repo,
            revision=info.sha,
            wanted_revision=revision,
            files=_files(info),
            gated=bool(info.gated),
            licence=licence_of(info),
            downloads=info.downloads,
        )

    def model_list(self, parameters: Mapping[str, str | list[str]], halt: Halt) -> list[ModelInfo]:
        """One page of the hub's list of models. Raises: ``HubError``, ``Halted``."""
        answer = self._ask("/api/models", parameters, "list of models", halt)
        if not isinstance(answer, list):
            raise wrong_answer(self.host, "the list of models is no list")
        return [_model_info(item, self.host) for item in answer]

    @contextmanager
    def open(self, repo: str, revision: str, path: str, start: int, end: int) -> Iterator[Stream]:
        """Bytes ``start`` up to ``end`` (exclusive) of a file; a server without ranges gives the whole file.

        Raises: ``Hiccup`` for what may pass, ``HubError`` (``range_refused`` for 416) for what will not.
        """
        url = f"{self.endpoint}/{quote(repo)}/resolve/{quote(revision, safe='')}/{quote(path)}"
        headers = self._headers() | {"Range": f"bytes={start}-{end - 1}"}
        try:
            with self._client.stream("GET", url, headers=headers, follow_redirects=True) as response:
                yield self._checked_stream(response, start, path)
        except httpx2.RequestError as error:
            raise failed(error, _host_of(error, self.host)) from error

    def _headers(self) -> dict[str, str]:
        # No compression: lengths and ranges must be those of the file itself.
        headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _check_way(self, response: httpx2.Response) -> None:
        """A hub that was asked in secret must not answer in the open: whoever sits between could name another hash."""
        hops = [*response.history, response]
        if self.endpoint.startswith("https:") and any(hop.request.url.scheme != "https" for hop in hops):
            raise HubError(
                "insecure_redirect",
                f"{self.host} redirects from https to an address without encryption.",
                "Check the mirror or the proxy.",
            )

    def _checked_stream(self, response: httpx2.Response, start: int, path: str) -> Stream:
        self._check_way(response)
        host = response.request.url.host
        if response.status_code == 416:
            raise HubError("range_refused", f"{host} says that {path} has no byte {start:,}.")
        if response.status_code not in (200, 206):
            raise refused(response, path, with_token=self._token is not None)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise wrong_answer(host, "the file is compressed on the way, though that was not asked for")
        if response.status_code == 200:
            length = response.headers.get("Content-Length", "")
            return Stream(response, 0, int(length[:18]) if length.isdigit() else None, _linked_hash(response))
        match = _RANGE.match(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != start:
            raise wrong_answer(host, "it sent another part of the file than the one it was asked for")
        return Stream(response, start, None if match[3] == "*" else int(match[3]), _linked_hash(response))

    def _ask(self, path: str, parameters: Mapping[str, str | list[str]], what: str, halt: Halt) -> object:
        failures = Failures(self.patience, halt)
        while True:
            if halt.is_set():
                raise Halted
            try:
                return self._ask_once(path, parameters, what)
            except Hiccup as hiccup:
                failures.wait_after(hiccup)

    def _ask_once(self, path: str, parameters: Mapping[str, str | list[str]], what: str) -> object:
        url = self.endpoint + path
        try:
            with self._client.stream(
                "GET", url, params=dict(parameters), headers=self._headers(), follow_redirects=True
            ) as response:
                self._check_way(response)
                if response.status_code != 200:
                    raise refused(response, what, with_token=self._token is not None)
                return _parsed(response, self.host)
        except httpx2.RequestError as error:
            raise failed(error, _host_of(error, self.host)) from error


def licence_of(info: ModelInfo) -> str | None:
    """Of the card, else of the tags, as the hub spells it."""
    card = info.card_data.get("license") if info.card_data is not None else None
    if isinstance(card, str) and card:
        return card[:100]
    tagged = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    return tagged[0][:100] if tagged else None


def _parsed(response: httpx2.Response, host: str) -> object:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > ANSWER_LIMIT_BYTES:
            raise wrong_answer(host, f"its description is longer than {ANSWER_LIMIT_BYTES:,} bytes")
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        kind = response.headers.get("Content-Type", "")[:60]
        raise wrong_answer(host, f"it sent {kind or 'something'} in place of a description") from error
    return parsed


def _model_info(answer: object, host: str) -> ModelInfo:
    # Read at import time by the library, so it must be set before that.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub.hf_api import ModelInfo

    if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
        raise wrong_answer(host, "the description of a repository has no name")
    try:
        return ModelInfo(**answer)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise wrong_answer(host, "the description of a repository is not in the form that was agreed on") from error


def _files(info: ModelInfo) -> tuple[RemoteFile, ...]:
    """Those whose names can be used as names of files here, with a known size."""
    found = []
    for sibling in info.siblings or ():
        # The library passes on whatever the hub sent.
        path: object = sibling.rfilename
        lfs = sibling.lfs
        size: object = lfs.size if lfs is not None else sibling.size
        if not isinstance(path, str) or not all(_SAFE_NAME.match(part) for part in path.split("/")):
            continue
        if not isinstance(size, int) or size < 0:
            continue
        digest = str(lfs.sha256).lower() if lfs is not None else ""
        found.append(RemoteFile(path, size, digest if _HASH.match(digest) else None))
    return tuple(found)


def _linked_hash(response: httpx2.Response) -> str | None:
    """The hash that the hub names on the way to where the bytes lie."""
    for hop in (*response.history, response):
        tag = hop.headers.get("X-Linked-Etag", "").strip().removeprefix("W/").strip('"').lower()
        if _HASH.match(tag):
            return tag
    return None


def _host_of(error: httpx2.RequestError, fallback: str) -> str:
    try:
        return error.request.url.host
    except RuntimeError:
        return fallback
