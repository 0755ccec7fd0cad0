"""Providers are kept by name, their keys elsewhere; a key never follows a provider to another address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.gate.records import Provider
from app.lanes import StoreLane
from app.paths import Paths
from app.providers.keys import ProviderKeys
from app.providers.prices import cost_usd, cost_usd_at_most
from app.providers.provider import PromptMessage
from app.providers.registry import Providers
from app.providers.remote_wire import chunk_of, request_body
from engine.errors import GatehouseError
from tests.app.gate.made_egress import PROMPT, provider_at

KEY = "sk-test-0123456789abcdef"
WANTED = Provider("", " Example ", "https://api.example.com/v1/", " large ", "cloud", 8000, 1.0, 2.0)


class Pocket:
    """Secrets in memory; ``full`` is a machine without a safe place."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.full = False

    def get_secret(self, name: str) -> str | None:
        return self.kept.get(name)

    def put_secret(self, name: str, value: str) -> object:
        if self.full:
            raise GatehouseError("no_place", "There is no place that keeps a key safe.")
        self.kept[name] = value
        return None

    def delete_secret(self, name: str) -> None:
        self.kept.pop(name, None)


@pytest.fixture
def pocket() -> Pocket:
    return Pocket()


@pytest.fixture
def providers(lane: StoreLane, pocket: Pocket) -> Providers:
    return Providers(lane, ProviderKeys(pocket))


async def test_saved_found_changed_and_removed(providers: Providers, pocket: Pocket) -> None:
    saved = await providers.save(WANTED, f" {KEY}\n")
    assert (saved.name, saved.base_url, saved.model, saved.has_key) == (
        "Example", "https://api.example.com/v1", "large", True,
    )  # fmt: skip
    assert list(pocket.kept.values()) == [KEY]
    other = await providers.save(replace(WANTED, name="Other"))
    assert [one.name for one in await providers.every()] == ["Other", "Example"]
    await providers.note_used(saved.id)
    assert [one.name for one in await providers.every()] == ["Example", "Other"]
    assert (await providers.find("exam")).id == saved.id
    with pytest.raises(GatehouseError, match="There are: Example, Other"):
        await providers.find("nobody")
    dearer = await providers.save(replace(saved, output_usd_per_mtok=3.0))
    assert dearer.has_key
    assert await providers.get(saved.id) == dearer
    await providers.remove(saved.id)
    assert pocket.kept == {}
    assert await providers.every() == (other,)


async def test_a_key_does_not_follow_to_another_host(providers: Providers, pocket: Pocket) -> None:
    saved = await providers.save(WANTED, KEY)
    assert (await providers.save(replace(saved, base_url="https://api.example.com/v2"))).has_key
    moved = await providers.save(replace(saved, base_url="https://api.example.org/v1"))
    assert not moved.has_key
    assert pocket.kept == {}


async def test_without_a_safe_place_nothing_is_kept(
    providers: Providers, pocket: Pocket, lane: StoreLane, paths: Paths
) -> None:
    pocket.full = True
    with pytest.raises(GatehouseError) as caught:
        await providers.save(WANTED, KEY)
    assert caught.value.code == "no_place"
    assert await providers.every() == ()
    pocket.full = False
    await providers.save(WANTED, KEY)
    assert not [path for path in paths.data.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda one: replace(one, name=" "), "bad_name"),
        (lambda one: replace(one, model=""), "bad_model"),
        (lambda one: replace(one, base_url="http://api.example.com"), "insecure_address"),
        (lambda one: replace(one, trust="team", base_url="https://1.1.1.1/v1"), "not_local"),
        (lambda one: replace(one, input_usd_per_mtok=-1.0), "bad_price"),
        (lambda one: replace(one, input_usd_per_mtok=float("nan")), "bad_price"),
        (lambda one: replace(one, n_ctx=0), "bad_context"),
    ],
)
async def test_what_cannot_be(providers: Providers, change: Callable[[Provider], Provider], code: str) -> None:
    with pytest.raises(GatehouseError) as caught:
        await providers.save(change(WANTED))
    assert caught.value.code == code


async def test_names_are_taken_once_and_keys_are_keys(providers: Providers) -> None:
    await providers.save(WANTED)
    with pytest.raises(GatehouseError) as caught:
        await providers.save(replace(WANTED, name="EXAMPLE"))
    assert caught.value.code == "name_taken"
    for key in ("", "two words", "schlüssel", "x" * 5000):
        with pytest.raises(GatehouseError) as caught:
            await providers.save(replace(WANTED, name="Other"), key)
        assert caught.value.code == "bad_key"


def test_costs() -> None:
    provider = provider_at("https://api.example.com/v1")
    assert cost_usd(provider, 1_000_000, 100_000) == pytest.approx(3.0)
    assert cost_usd(replace(provider, output_usd_per_mtok=None), 1, 1) is None
    at_most = cost_usd_at_most(provider, 1000, 500)
    assert at_most == pytest.approx((1266 * 2 + 500 * 10) / 1e6)
    assert cost_usd_at_most(provider, 1000, None) == pytest.approx((1266 * 2 + 7192 * 10) / 1e6)
    assert cost_usd_at_most(replace(provider, n_ctx=None), 1000, None) is None


def test_half_a_surrogate_pair_makes_a_body_all_the_same() -> None:
    provider = Provider("", "Example", "https://api.example/v1", "m", "cloud", None, None, None, False)
    body = request_body(provider, [PromptMessage("user", "cut \ud83d off")], max_tokens=None)
    assert b"cut ? off" in body


def test_bodies_name_the_limit_as_the_host_wants_it() -> None:
    ours = request_body(provider_at("https://api.openai.com/v1"), PROMPT, max_tokens=7)
    theirs = request_body(provider_at("https://api.openai.com.example.net/v1"), PROMPT, max_tokens=7)
    assert b'"max_completion_tokens":7' in ours
    assert b'"max_tokens":7' in theirs


@pytest.mark.parametrize(
    "part",
    [
        None, [], {}, {"choices": 3}, {"choices": [3]}, {"choices": [{"delta": {"content": 3}}]},
        {"choices": [{"delta": {"reasoning_content": ["x"]}}]}, {"usage": {"prompt_tokens": -1}},
    ],
)  # fmt: skip
def test_parts_that_are_none(part: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        chunk_of(part)


def test_parts_in_other_dress() -> None:
    assert chunk_of({"choices": [{"delta": {"content": "a\ud800b"}}]}).text == "a?b"
    assert chunk_of({"choices": [{"delta": None, "finish_reason": "stop"}]}).finish_reason == "stop"
    assert chunk_of({"choices": [{"delta": {"reasoning": "hm"}}]}).reasoning == "hm"
    counts = {"prompt_tokens": 5, "completion_tokens": True}
    assert chunk_of({"choices": [], "usage": counts}).usage is None
