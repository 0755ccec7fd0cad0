"""Through a proxy of the environment: it is asked for a tunnel by name and sees nothing of what goes through it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import httpx2
import pytest

from app.gate.records import Outcome
from app.lanes import StoreLane
from app.paths import Paths
from engine.errors import GatehouseError
from engine.hub.patience import Patience as HubPatience
from tests.app.gate.made_egress import MadeEgress, body_for, permit_for, provider_at
from tests.cloud_double import KEY, WORDS, CloudDouble
from tests.proxy_double import ProxyDouble

_NAME = "cloud.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def cloud(certificate: Path) -> Iterator[CloudDouble]:
    with CloudDouble(tls=certificate) as double:
        yield double


async def _ask(made: MadeEgress, host: str = _NAME) -> str:
    provider = provider_at(f"https://{host}/v1")
    body = body_for(provider)
    stream = made.provider.stream(provider, body, permit_for(provider, body), 400)
    async with aclosing(stream) as chunks:
        return "".join([chunk.text async for chunk in chunks])


def _no_name(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was looked up, though a proxy does that")


async def test_a_tunnel_carries_everything_and_its_keeper_sees_a_name(
    lane: StoreLane, paths: Paths, cloud: CloudDouble, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    before = len(cloud.seen())
    with ProxyDouble(cloud.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        made = MadeEgress(lane, paths, _no_name)
        assert await _ask(made) == "".join(WORDS)
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {_NAME}:443 HTTP/1.1\r\n")
    assert KEY not in head
    assert "authorization" not in head.lower()
    (seen,) = cloud.seen()[before:]
    assert (seen.path, seen.headers["host"]) == ("/v1/chat/completions", _NAME)
    begun, ended = (await made.ledger.page()).rows
    assert (begun.host, ended.outcome) == (f"{_NAME} via 127.0.0.1", Outcome.COMPLETE)
    assert ended.bytes_out == begun.bytes_out > len(seen.body)


@pytest.mark.parametrize(
    ("host", "trusted", "refuse", "code"),
    [
        (_NAME, False, False, "untrusted_certificate"),
        ("another.example", True, False, "untrusted_certificate"),
        (_NAME, True, True, "proxy_refused"),
    ],
    ids=["a certificate that nobody trusts", "another name's certificate", "a proxy that refuses"],
)
async def test_nothing_goes_through_a_tunnel_that_leads_elsewhere(
    lane: StoreLane,
    paths: Paths,
    cloud: CloudDouble,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    trusted: bool,
    refuse: bool,
    code: str,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    before = len(cloud.seen())
    with ProxyDouble(cloud.port, refuse=refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        made = MadeEgress(lane, paths, _no_name)
        with pytest.raises(GatehouseError) as caught:
            await _ask(made, host)
    assert caught.value.code == code, caught.value.sentence
    assert len(cloud.seen()) == before
    ended = (await made.ledger.page()).rows[1]
    assert (ended.outcome, ended.bytes_out) == (Outcome.UNREACHABLE, 0)


async def test_a_server_of_ones_team_is_asked_directly(
    lane: StoreLane, paths: Paths, cloud: CloudDouble, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    with ProxyDouble(cloud.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        made = MadeEgress(lane, paths, lambda *_: ["127.0.0.1"])
        provider = provider_at(f"https://{_NAME}:{cloud.port}/v1", trust="team")
        body = body_for(provider)
        async with aclosing(made.provider.stream(provider, body, permit_for(provider, body), 400)) as chunks:
            assert "".join([chunk.text async for chunk in chunks]) == "".join(WORDS)
    assert proxy.heads == []


async def test_the_hub_says_through_a_tunnel_no_more_than_beside_it(
    lane: StoreLane, paths: Paths, cloud: CloudDouble, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProxyDouble(cloud.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        made = MadeEgress(lane, paths, _no_name)

        def ask() -> int:
            with made.egress.hub_client(
                HubPatience(connect_s=2.0, stall_s=2.0, attempts=1), f"https://{_NAME}", "button"
            ) as client:
                return client.get(f"https://{_NAME}/v1/models", headers={"authorization": f"Bearer {KEY}"}).status_code

        with pytest.raises(httpx2.ConnectError, match="self-signed"):
            await asyncio.to_thread(ask)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
        assert await asyncio.to_thread(ask) == 200
    assert not any(KEY in head for head in proxy.heads)
    told = [row.bytes_out > 0 for row in (await made.ledger.page()).rows if row.part == "ended"]
    assert told == [True, False], "the latest first: the one before met a certificate that nobody trusts"
