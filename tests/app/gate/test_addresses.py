"""Which addresses are let through: a team's must be in one's own network, a local one on this machine."""

from __future__ import annotations

import pytest

from app.gate.addresses import check_provider, check_resolved, target_of
from app.gate.records import Trust
from engine.errors import GatehouseError


@pytest.mark.parametrize(
    ("url", "trust"),
    [
        ("https://api.example.com/v1", "cloud"),
        ("http://127.0.0.1:8080/v1", "cloud"),
        ("http://localhost:8080", "cloud"),
        ("http://192.168.1.20:8000/v1", "team"),
        ("http://gpu.lan/v1", "team"),
        ("https://[fd00::1]/v1", "team"),
        ("http://100.64.3.2/v1", "team"),
    ],
)
def test_right_base_urls(url: str, trust: Trust) -> None:
    check_provider(url, trust)


@pytest.mark.parametrize(
    ("url", "trust", "code"),
    [
        ("http://api.example.com/v1", "cloud", "insecure_address"),
        ("http://192.168.1.20/v1", "cloud", "insecure_address"),
        ("https://8.8.8.8/v1", "team", "not_local"),
        ("https://[::ffff:8.8.8.8]/v1", "team", "not_local"),
        ("https://me:secret@api.example.com/v1", "cloud", "bad_address"),
        ("https://api.example.com/v1?key=1", "cloud", "bad_address"),
        ("ftp://api.example.com", "cloud", "bad_address"),
        ("api.example.com/v1", "cloud", "bad_address"),
        ("https:///v1", "cloud", "bad_address"),
        ("https://a b/v1", "cloud", "bad_address"),
        ("https://[::1/v1", "cloud", "bad_address"),
        ("https://api.example.com:99999", "cloud", "bad_address"),
        ("https://0.0.0.0/v1", "team", "bad_address"),
        ("https://@api.example.com/v1", "cloud", "bad_address"),
        ("https://good.example\\.evil.example/v1", "cloud", "bad_address"),
        ("https://a%2eb.example/v1", "cloud", "bad_address"),
        ("http://[2002:808:808::1]/v1", "team", "not_local"),
        ("http://[64:ff9b::808:808]/v1", "team", "not_local"),
        ("http://[2001:0:808:808::f7f7:f7f7]/v1", "team", "not_local"),
        ("http://[64:ff9b::7f00:1]/v1", "cloud", "insecure_address"),
    ],
)
def test_wrong_base_urls(url: str, trust: Trust, code: str) -> None:
    with pytest.raises(GatehouseError) as caught:
        check_provider(url, trust)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "addresses", "trust"),
    [
        ("localhost", ["93.184.216.34"], "cloud"),
        ("box.localhost", ["127.0.0.1", "93.184.216.34"], "cloud"),
        ("localhost.", ["10.0.0.1"], "team"),
        ("gpu.lan", ["93.184.216.34"], "team"),
        ("gpu.lan", ["192.168.1.2", "2606:2800:220:1::1"], "team"),
        ("gpu.lan", ["::ffff:93.184.216.34"], "team"),
    ],
)
def test_names_that_are_not_what_they_claim(host: str, addresses: list[str], trust: Trust) -> None:
    with pytest.raises(GatehouseError) as caught:
        check_resolved(host, addresses, trust)
    assert caught.value.code == "not_local"


def test_names_that_are_what_they_claim() -> None:
    assert check_resolved("localhost", ["::1", "127.0.0.1"], "cloud") == ("::1", "127.0.0.1")
    assert check_resolved("gpu.lan", ["fe80::1%eth0", "10.1.2.3"], "team") == ("fe80::1%eth0", "10.1.2.3")
    assert check_resolved("api.example.com", ["93.184.216.34"], "cloud") == ("93.184.216.34",)


@pytest.mark.parametrize(
    ("url", "held"),
    [
        ("https://api.example.com/v1/chat/completions", True),
        ("https://API.example.com:443/v1/models", True),
        ("https://api.example.com/v1", True),
        ("https://api.example.com/v1evil/chat", False),
        ("https://api.example.com/v1/../admin", False),
        ("http://api.example.com/v1/models", False),
        ("https://api.example.com:8443/v1/models", False),
        ("https://api.example.com.evil.org/v1/models", False),
    ],
)
def test_only_what_lies_under_the_base_url_is_held(url: str, held: bool) -> None:
    assert target_of("https://api.example.com/v1/").holds(target_of(url)) is held
