"""Asking a hub: what it answers, what it refuses, and what is sent to whom."""

from __future__ import annotations

import sys

import httpx2
import pytest

from engine.errors import HubError
from engine.hub.client import HubClient
from engine.hub.endpoint import endpoint_of
from engine.hub.patience import Patience
from tests.engine.hub.conftest import QUICK, NoWait
from tests.engine.hub.direct import direct_client
from tests.hub_double import COMMIT, GOOD_TOKEN, Cut, HubDouble, HubFile, Loop, Page, Stall, Status

REPO = "owner/model-GGUF"


def add(hub: HubDouble, **facts: object) -> None:
    hub.add(REPO, {"README.md": b"# Model", "m-Q4_K_M.gguf": b"GGUF" + bytes(1000)}, **facts)


def test_repository_is_described(hub: HubDouble, client: HubClient, halt: NoWait) -> None:
    add(hub, downloads=77)
    found = client.repository(REPO, "main", halt)
    assert (found.id, found.revision, found.licence, found.gated, found.downloads) == (
        REPO,
        COMMIT,
        "apache-2.0",
        False,
        77,
    )
    readme, model = sorted(found.files, key=lambda file: file.path)
    assert (readme.path, readme.size_bytes, readme.sha256) == ("README.md", 7, None)
    assert model.size_bytes == 1004
    assert model.sha256 == hub.repos[REPO].files["m-Q4_K_M.gguf"].sha256


def test_files_with_names_that_could_escape_are_left_out(hub: HubDouble, client: HubClient, halt: NoWait) -> None:
    names = [
        "../up.gguf",
        "/etc/x.gguf",
        "a//b.gguf",
        "c\\d.gguf",
        "e:f.gguf",
        ".hidden.gguf",
        "good/g.gguf",
        "n\nl.gguf",
    ]
    hub.add(REPO, dict.fromkeys(names, HubFile(b"GGUF")))
    assert [file.path for file in client.repository(REPO, "main", halt).files] == ["good/g.gguf"]


@pytest.mark.parametrize(
    ("facts", "token", "code", "says"),
    [
        ({"private": True}, None, "not_found", "private"),
        ({"private": True}, "hf_bad", "token_refused", "token"),
    ],
)
def test_refusals_are_named(
    hub: HubDouble, halt: NoWait, facts: dict[str, object], token: str, code: str, says: str
) -> None:
    add(hub, **facts)
    with (
        HubClient(endpoint=hub.address, token=token, make_client=direct_client) as client,
        pytest.raises(HubError) as caught,
    ):
        client.repository(REPO, "main", halt)
    assert caught.value.code == code
    assert says in str(caught.value)
    assert halt.waits == []


def test_missing_repository_and_revision_are_told_apart(hub: HubDouble, client: HubClient, halt: NoWait) -> None:
    add(hub)
    with pytest.raises(HubError) as missing:
        client.repository("owner/other", "main", halt)
    with pytest.raises(HubError) as revision:
        client.repository(REPO, "v9", halt)
    assert (missing.value.code, revision.value.code) == ("not_found", "no_such_revision")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 408])
def test_a_busy_hub_is_asked_again(hub: HubDouble, client: HubClient, halt: NoWait, status: int) -> None:
    add(hub)
    hub.misbehave(Status(status), Status(status, retry_after="7"), where="api")
    assert client.repository(REPO, "main", halt).revision == COMMIT
    assert halt.waits == [1.0, 7.0]


def test_patience_ends(hub: HubDouble, client: HubClient, halt: NoWait) -> None:
    add(hub)
    hub.misbehave(Status(503), where="api", forever=True)
    with pytest.raises(HubError, match="503") as caught:
        client.repository(REPO, "main", halt)
    assert caught.value.code == "server_error"
    assert halt.waits == [1.0, 2.0, 4.0]


def test_a_long_ban_is_told_and_not_waited_for(hub: HubDouble, client: HubClient, halt: NoWait) -> None:
    add(hub)
    hub.misbehave(Status(429, retry_after="86400"), where="api")
    with pytest.raises(HubError, match="86,400 s") as caught:
        client.repository(REPO, "main", halt)
    assert caught.value.code == "rate_limited"
    assert halt.waits == []


def test_nonsense_is_refused(hub: HubDouble, client: HubClient, halt: NoWait) -> None:
    add(hub)
    for fault, code in ((Page(), "wrong_answer"), (Loop(), "redirect_loop"), (Status(418), "wrong_answer")):
        hub.misbehave(fault, where="api", forever=True)
        with pytest.raises(HubError) as caught:
            client.repository(REPO, "main", halt)
        assert caught.value.code == code
        hub.behave()
    assert halt.waits == []


def test_a_description_cut_off_or_stalled_is_asked_for_again(hub: HubDouble, halt: NoWait) -> None:
    add(hub)
    hub.misbehave(Cut(20), Stall(20), where="api")
    with HubClient(endpoint=hub.address, patience=Patience(stall_s=0.2), make_client=direct_client) as client:
        assert client.repository(REPO, "main", halt).revision == COMMIT
    assert halt.waits == [1.0, 2.0]


def test_nobody_there_is_named(halt: NoWait) -> None:
    with (
        HubClient(endpoint="http://127.0.0.1:9", patience=QUICK, make_client=direct_client) as client,
        pytest.raises(HubError) as caught,
    ):
        client.repository(REPO, "main", halt)
    assert caught.value.code == "unreachable"
    assert "127.0.0.1" in caught.value.sentence


def test_token_goes_to_the_hub_and_not_to_where_the_bytes_lie(hub: HubDouble, halt: NoWait) -> None:
    add(hub, gated=True)
    with HubClient(endpoint=hub.address, token=GOOD_TOKEN, make_client=direct_client) as client:
        with client.open(REPO, COMMIT, "m-Q4_K_M.gguf", 0, 10) as stream:
            assert b"".join(stream.chunks()) == b"GGUF" + bytes(6)
        assert (stream.start, stream.total_bytes) == (0, 1004)
        assert stream.linked_hash == hub.repos[REPO].files["m-Q4_K_M.gguf"].sha256
    assert [(seen.where, seen.token) for seen in hub.seen] == [("hub", GOOD_TOKEN), ("bytes", None)]


def test_no_token_of_this_machine_is_sent(
    hub: HubDouble, client: HubClient, halt: NoWait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    add(hub)
    client.repository(REPO, "main", halt)
    assert [seen.token for seen in hub.seen] == [None]


def test_every_byte_goes_through_the_given_client(hub: HubDouble, halt: NoWait) -> None:
    add(hub)
    asked = []

    def make(patience: Patience) -> httpx2.Client:
        return httpx2.Client(event_hooks={"request": [lambda request: asked.append(request.url.path)]})

    with HubClient(endpoint=hub.address, make_client=make) as client:
        client.repository(REPO, "main", halt)
        with client.open(REPO, COMMIT, "m-Q4_K_M.gguf", 0, 10) as stream:
            list(stream.chunks())
    assert len(asked) == len(hub.seen) == 3
    assert "huggingface_hub" in sys.modules


def test_a_secret_question_is_not_answered_in_the_open(halt: NoWait) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme == "https":
            return httpx2.Response(302, headers={"Location": "http://hub.invalid/open"})
        return httpx2.Response(200, json={"id": REPO, "sha": COMMIT, "siblings": []})

    def make(_: Patience) -> httpx2.Client:
        return httpx2.Client(transport=httpx2.MockTransport(answer))

    with HubClient(endpoint="https://hub.invalid", make_client=make) as client, pytest.raises(HubError) as caught:
        client.repository(REPO, "main", halt)
    assert caught.value.code == "insecure_redirect"


def test_proxy_of_the_environment_is_used(hub: HubDouble, halt: NoWait, monkeypatch: pytest.MonkeyPatch) -> None:
    add(hub)
    monkeypatch.setenv("HTTP_PROXY", hub.address)
    with HubClient(endpoint="http://hub.invalid", make_client=direct_client) as client:
        assert client.repository(REPO, "main", halt).revision == COMMIT


def test_mirror_of_the_environment_is_used() -> None:
    assert endpoint_of({"HF_ENDPOINT": "https://mirror.example/"}) == "https://mirror.example"
    assert endpoint_of({}) == "https://huggingface.co"
