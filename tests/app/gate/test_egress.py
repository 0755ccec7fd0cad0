"""The way out: what no permit covers stays, what leaves is in the ledger first, addresses are what they claim."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import httpx2
import pytest

from app.gate.addresses import target_of
from app.gate.label import GateMode, Label
from app.gate.offline import OFFLINE_VARIABLE
from app.gate.permit import Permit
from app.gate.records import Outcome
from app.gate.transport import proxy_for
from app.lanes import StoreLane
from app.paths import Paths
from engine.errors import GatehouseError, HubError
from engine.hub.client import HubClient
from engine.hub.interrupt import Interrupt
from engine.hub.patience import Patience as HubPatience
from tests.app.gate.made_egress import QUICK, MadeEgress, body_for, permit_for, provider_at
from tests.cloud_double import CloudDouble
from tests.hub_double import GOOD_TOKEN, HubDouble, HubFile, HubRepo

REPO = "owner/model"
FAST = HubPatience(connect_s=2.0, stall_s=2.0, attempts=1)


@pytest.fixture(scope="module")
def cloud() -> Iterator[CloudDouble]:
    with CloudDouble() as double:
        yield double


@pytest.fixture
async def made(lane: StoreLane, paths: Paths) -> MadeEgress:
    return MadeEgress(lane, paths)


async def _post(made: MadeEgress, permit: Permit, url: str, body: bytes, times: int = 1) -> httpx2.Response:
    async with await made.egress.passage(permit, QUICK) as passage:
        for _ in range(times - 1):
            await passage.http.post(url, content=body)
        return await passage.http.post(url, content=body)


async def _refuse(_: bytes) -> None:
    raise GatehouseError("canary", "A planted string is in it.")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"label": Label.RESTRICTED}, "restricted"),
        ({"mode": GateMode.LOCAL}, "local_only"),
        ({"mode": None}, "not_permitted"),
        ({"label": None}, "not_permitted"),
        ({"final_check": None}, "not_permitted"),
        ({"consent": ""}, "not_permitted"),
        ({"purpose": "hub"}, "not_permitted"),
        ({"body_sha256": "00" * 32}, "other_bytes"),
        ({"final_check": _refuse}, "canary"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "other_host"),
        ({"base_url": "http://127.0.0.1/v1"}, "other_host"),
    ],
)
async def test_what_no_permit_covers_stays_here(
    made: MadeEgress, cloud: CloudDouble, changes: dict[str, object], code: str
) -> None:
    provider = provider_at(cloud.base_url)
    body = body_for(provider)
    before = len(cloud.seen())
    with pytest.raises(GatehouseError) as caught:
        await _post(made, permit_for(provider, body, **changes), f"{cloud.base_url}/chat/completions", body)
    assert caught.value.code == code
    assert len(cloud.seen()) == before
    assert (await made.ledger.page()).total == 0


async def test_the_final_check_sees_exactly_what_leaves(made: MadeEgress, cloud: CloudDouble) -> None:
    provider, checked = provider_at(cloud.base_url), []

    async def check(body: bytes) -> None:
        checked.append(body)

    body = body_for(provider)
    await _post(made, permit_for(provider, body, final_check=check), f"{cloud.base_url}/chat/completions", body)
    assert checked == [body] == [cloud.seen()[-1].body.encode()]


async def test_a_permit_is_good_for_one_request(made: MadeEgress, cloud: CloudDouble) -> None:
    provider = provider_at(cloud.base_url)
    body, url = body_for(provider), f"{cloud.base_url}/chat/completions"
    permit = permit_for(provider, body)
    before = len(cloud.seen())
    with pytest.raises(GatehouseError) as caught:
        await _post(made, permit, url, body, times=2)
    assert caught.value.code == "sent_already"
    with pytest.raises(GatehouseError) as caught:
        await _post(made, permit, url, body)
    assert caught.value.code == "sent_already"
    assert len(cloud.seen()) == before + 1
    assert (await made.ledger.page()).total == 1


async def test_nothing_leaves_when_the_row_cannot_be_written(
    made: MadeEgress, cloud: CloudDouble, lane: StoreLane
) -> None:
    await lane.write(lambda connection: connection.execute("ALTER TABLE ledger RENAME TO away"))
    provider = provider_at(cloud.base_url)
    body = body_for(provider)
    before = len(cloud.seen())
    with pytest.raises(GatehouseError) as caught:
        await _post(made, permit_for(provider, body), f"{cloud.base_url}/chat/completions", body)
    assert caught.value.code == "store_failed"
    assert len(cloud.seen()) == before


async def test_the_row_is_there_before_the_first_byte_leaves(made: MadeEgress, lane: StoreLane) -> None:
    rows: list[Sequence[object]] = []
    loop = asyncio.get_running_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        rows.extend(await lane.read(lambda c: c.execute("SELECT part, bytes_out, outcome FROM ledger").fetchall()))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = provider_at(f"http://127.0.0.1:{port}/v1")
    body = body_for(provider)
    async with server, asyncio.timeout_at(loop.time() + 5):
        with pytest.raises(httpx2.HTTPError):
            await _post(made, permit_for(provider, body), f"{provider.base_url}/chat/completions", body)
    ((part, bytes_out, outcome),) = rows
    assert (part, outcome) == ("begun", "unknown")
    assert isinstance(bytes_out, int)
    assert bytes_out > len(body)


@pytest.mark.parametrize(
    ("host", "trust", "addresses"),
    [
        ("localhost", "cloud", ["93.184.216.34"]),
        ("gpu.lan", "team", ["93.184.216.34"]),
        ("gpu.lan", "team", ["127.0.0.1", "93.184.216.34"]),
    ],
)
async def test_a_name_that_leads_elsewhere_gets_nothing(
    lane: StoreLane, paths: Paths, cloud: CloudDouble, host: str, trust: str, addresses: list[str]
) -> None:
    made = MadeEgress(lane, paths, lambda *_: addresses)
    provider = provider_at(f"http://{host}:{cloud.port}/v1", trust=trust)
    body = body_for(provider)
    with pytest.raises(GatehouseError) as caught:
        await _post(made, permit_for(provider, body), f"{provider.base_url}/chat/completions", body)
    assert caught.value.code == "not_local"
    ended = (await made.ledger.page()).rows[1]
    assert (ended.bytes_out, ended.outcome) == (0, Outcome.UNREACHABLE)


async def test_the_address_that_was_checked_is_the_one_that_is_asked(
    lane: StoreLane, paths: Paths, cloud: CloudDouble
) -> None:
    """A name server that answers otherwise the second time is not asked a second time."""
    answers = iter([["127.0.0.1"], ["93.184.216.34"]])
    made = MadeEgress(lane, paths, lambda *_: next(answers))
    provider = provider_at(f"http://gpu.lan:{cloud.port}/v1", trust="team")
    body = body_for(provider)
    answer = await _post(made, permit_for(provider, body), f"{provider.base_url}/chat/completions", body)
    assert answer.status_code == 200
    assert cloud.seen()[-1].headers["host"] == f"gpu.lan:{cloud.port}"


async def test_the_environment_can_hold_the_product_offline(
    made: MadeEgress, cloud: CloudDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    provider = provider_at(cloud.base_url)
    with pytest.raises(GatehouseError, match=OFFLINE_VARIABLE):
        await made.egress.passage(permit_for(provider, b""))
    await made.offline.switch(False)
    assert made.offline.is_on


async def test_going_offline_ends_a_request_that_nobody_has_answered_yet(made: MadeEgress) -> None:
    """Also one whose body is still on its way."""
    came, gone = asyncio.Event(), asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        while await reader.read(1 << 16):
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    provider = provider_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    body = body_for(provider)
    async with server, asyncio.timeout(20):
        asked = made.provider.stream(provider, body, permit_for(provider, body))
        asking = asyncio.create_task(anext(asked))
        await came.wait()
        await made.offline.switch(True)
        with pytest.raises(GatehouseError) as caught:
            await asking
        await gone.wait()
    assert caught.value.code == "offline"
    ended = (await made.ledger.page()).rows[1]
    assert (ended.bytes_out > 0, ended.outcome) == (True, Outcome.CUT)


async def test_a_team_server_without_a_key_gets_none(made: MadeEgress, cloud: CloudDouble) -> None:
    provider = provider_at(cloud.base_url, trust="team", has_key=False)
    body = body_for(provider)
    async for _ in made.provider.stream(provider, body, permit_for(provider, body)):
        pass
    assert "authorization" not in cloud.seen()[-1].headers


async def test_the_hub_goes_through_the_same_door(made: MadeEgress) -> None:
    """Every request and every hop has its rows; the token stays with the hub; offline, nobody is asked."""
    content = b"GGUF" + bytes(1000)
    with HubDouble() as hub:
        hub.repos[REPO] = HubRepo(REPO, {"m-Q4_K_M.gguf": HubFile(content)})

        def client() -> HubClient:
            make = made.egress.hub_client(FAST, hub.address, "button", "download")
            return HubClient(endpoint=hub.address, token=GOOD_TOKEN, patience=FAST, make_client=lambda _: make)

        def fetch() -> bytes:
            with client() as opened:
                commit = opened.repository(REPO, "main", Interrupt()).revision
                with opened.open(REPO, commit, "m-Q4_K_M.gguf", 0, len(content)) as stream:
                    return b"".join(stream.chunks())

        assert await asyncio.to_thread(fetch) == content
        assert [seen.token for seen in hub.seen] == [GOOD_TOKEN, GOOD_TOKEN, None]
        await made.offline.switch(True)
        with pytest.raises(HubError) as caught:
            await asyncio.to_thread(fetch)
        assert caught.value.code == "offline"
        assert len(hub.seen) == 3
    page = await made.ledger.page()
    assert (page.total, len(page.rows)) == (3, 6)
    assert {row.purpose for row in page.rows} == {"download"}
    assert page.rows[1].outcome is Outcome.COMPLETE
    assert page.rows[1].bytes_in == len(content)
    assert (await made.ledger.verify()).intact


async def test_the_proxy_of_the_environment_is_used_and_told(made: MadeEgress, monkeypatch: pytest.MonkeyPatch) -> None:
    with CloudDouble() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.address)

        def ask() -> int:
            with made.egress.hub_client(FAST, "http://hub.invalid", "button") as client:
                return client.get("http://hub.invalid/v1/models").status_code

        assert await asyncio.to_thread(ask) == 200
        assert [seen.path for seen in proxy.seen()] == ["http://hub.invalid/v1/models"]
        monkeypatch.setenv("HTTP_PROXY", "socks9://127.0.0.1:9")
        with pytest.raises(HubError) as caught:
            await asyncio.to_thread(ask)
        assert caught.value.code == "proxy_unsupported"
    assert {row.host for row in (await made.ledger.page()).rows} == {"hub.invalid via 127.0.0.1"}


@pytest.mark.parametrize("host", ["127.0.0.2", "box.localhost", "localhost."])
def test_what_says_that_it_is_this_machine_is_never_given_to_a_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would carry texts and key away in clear, unlooked at."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert proxy_for(target_of(f"http://{host}:8080/v1"), "cloud") is None
    assert proxy_for(target_of("http://hub.example/v1"), "cloud") == "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/chat?key=1"), ("PUT", "/chat"), ("DELETE", "/chat"), ("GET", "/models?text=secret")]
)
async def test_requests_of_another_form_stay_here(made: MadeEgress, cloud: CloudDouble, method: str, path: str) -> None:
    provider = provider_at(cloud.base_url)
    body = b"" if method == "GET" else body_for(provider)
    permit = permit_for(provider, body, purpose="test" if method == "GET" else "answer")
    before = len(cloud.seen())
    async with await made.egress.passage(permit, QUICK) as passage:
        with pytest.raises(GatehouseError) as caught:
            await passage.http.request(method, cloud.base_url + path, content=body)
    assert caught.value.code == "not_permitted"
    assert len(cloud.seen()) == before


async def test_a_hub_is_only_read_from(made: MadeEgress) -> None:
    def post() -> None:
        with made.egress.hub_client(FAST, "http://127.0.0.1:9", "button") as client:
            client.post("http://127.0.0.1:9/api", content=b"text")

    with pytest.raises(HubError) as caught:
        await asyncio.to_thread(post)
    assert caught.value.code == "not_permitted"
    assert (await made.ledger.page()).total == 0


async def test_a_hub_on_the_internet_does_not_lead_into_ones_own_network(lane: StoreLane, paths: Paths) -> None:
    with CloudDouble() as inside:
        addresses = {"hub.example": ["93.184.216.34"], "router.lan": ["127.0.0.1"]}
        made = MadeEgress(lane, paths, lambda host, _: addresses[host])

        def follow() -> None:
            with made.egress.hub_client(FAST, "https://hub.example", "button") as client:
                client.get(f"http://router.lan:{inside.port}/v1/models")

        with pytest.raises(HubError) as caught:
            await asyncio.to_thread(follow)
        assert caught.value.code == "redirected"
        assert inside.seen() == []
