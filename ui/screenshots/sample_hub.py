"""What lies elsewhere, for the pictures: the real catalogue judged for the sample machine, and a made-up search."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

from app.models import advice
from app.models.offers import Choice, Offer, Suggestion
from app.models.records import Download, RemotePlan
from engine.fit.plan import Wish
from engine.hub.repository import RemoteFile, RemoteModel
from ui.screenshots import sample
from ui.screenshots.sample import GIB

_SIZES = {"Q3_K_M": 13.7, "Q4_K_M": 17.28, "Q5_K_M": 20.2, "Q6_K": 23.4, "Q8_0": 30.3}
"""GiB of the quantizations in the searched repository."""


@cache
def catalogue() -> tuple[Offer, ...]:
    """As the service tells it."""
    return advice.catalogue_offers(sample.MACHINE)


def offer(name: str) -> Offer:
    """One of the catalogue, by a part of its id."""
    return next(entry for entry in catalogue() if name in entry.id)


@cache
def suggestions() -> tuple[Suggestion, ...]:
    """What the recommender says of the sample machine."""
    return advice.suggestions(sample.MACHINE, "chat")


def _chosen(entry: Offer) -> Choice:
    assert entry.choice is not None
    return entry.choice


def _searched(repo: str, parameters: float, downloads: int, licence: str, *, gated: bool = False) -> Offer:
    owner, _, name = repo.partition("/")
    choices = tuple(Choice(repo, word, word, None, 1, False) for word in _SIZES)
    return Offer(
        id=repo,
        place="hub",
        name=name,
        maker=owner,
        kind=None,
        architecture="qwen3moe" if "A3B" in repo else "qwen3",
        parameters=int(parameters),
        active_parameters=None,
        n_ctx_train=262144,
        n_expert=0,
        n_expert_used=0,
        licence=licence,
        gated=gated,
        tasks=("text-generation",),
        catches=(),
        downloads=downloads,
        updated_on=date(2025, 11, 3),
        choices=choices,
        suggested=1,
    )


@cache
def found() -> tuple[Offer, ...]:
    """What a search for “qwen3” answers."""
    return (
        _searched("unsloth/Qwen3-30B-A3B-Instruct-2507-GGUF", 30.5e9, 412_000, "apache-2.0"),
        _searched("unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF", 30.5e9, 388_000, "apache-2.0"),
        _searched("Qwen/Qwen3-8B-GGUF", 8.19e9, 156_000, "apache-2.0"),
        _searched("bartowski/Qwen3-14B-GGUF", 14.8e9, 61_200, "apache-2.0"),
        _searched("example-lab/Qwen3-32B-Medical-GGUF", 32.8e9, 1_240, "cc-by-nc-4.0", gated=True),
    )


def looked_into(entry: Offer) -> Offer:
    """With sizes, in proportion to its parameters."""
    share = (entry.parameters or 30.5e9) / 30.5e9
    sized = tuple(
        replace(choice, size_bytes=int(_SIZES.get(choice.quantization, 17.0) * share * GIB)) for choice in entry.choices
    )
    return advice.judged(replace(entry, choices=sized), sample.MACHINE)


def remote_plan(choice: Choice, wish: Wish) -> RemotePlan:
    """As if its header had been read."""
    moe = "A3B" in choice.repo or "gpt-oss" in choice.repo
    like = replace(sample.MOE if moe else sample.FOUR_B, size_bytes=choice.size_bytes or int(17.28 * GIB))
    like = replace(like, name=choice.repo.split("/")[-1].removesuffix("-GGUF"))
    file = RemoteFile(f"{like.name}-{choice.quantization}.gguf", like.size_bytes, "ab" * 32)
    model = RemoteModel(choice.repo, "0" * 40, "main", file.name[:-5], choice.quantization, (file,), "apache-2.0")
    return RemotePlan(
        model=model,
        plan=sample.plan_or_misfit(like, wish),
        n_ctx_train=262144,
        n_layer=like.n_layer,
        n_expert=like.n_expert,
        n_expert_used=like.n_expert_used,
        traffic_bytes=5_600_000,
    )


def download_of(choice: Choice) -> Download:
    """Just begun."""
    name = f"{choice.repo.split('/')[-1].removesuffix('-GGUF')}-{choice.quantization}"
    return Download(
        id=f"{choice.repo}:{name}",
        name=name,
        repo=choice.repo,
        quantization=choice.quantization,
        path=Path(f"/home/ada/.local/share/gatehouse/models/{choice.repo}/{name}.gguf"),
        state="running",
        doing="downloading",
        done_bytes=0,
        total_bytes=choice.size_bytes or int(17.28 * GIB),
        bytes_per_s=23.4e6,
        left_s=None,
        note="",
        error="",
        hint="",
    )


@cache
def downloads() -> tuple[Download, ...]:
    """One that runs, one that waits, one of last week, one that failed."""
    running = replace(download_of(looked_into(found()[0]).choices[1]), done_bytes=int(7.3 * GIB), left_s=458)
    waiting = download_of(looked_into(found()[2]).choices[1])
    paused = download_of(_chosen(offer("gemma-4-12b")))
    failed = download_of(_chosen(offer("qwen3-14b")))
    return (
        running,
        replace(waiting, state="waiting", doing="preparing", bytes_per_s=None),
        replace(paused, state="paused", bytes_per_s=None, done_bytes=int(2.1 * GIB)),
        replace(
            failed,
            state="failed",
            bytes_per_s=None,
            done_bytes=int(3.4 * GIB),
            error="The disk of /home/ada/.local/share/gatehouse/models filled up on the way.",
            hint="What has arrived is kept; free space and go on.",
        ),
    )
