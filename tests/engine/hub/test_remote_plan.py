"""The plan for a model that lies on a hub is exact and cheap, before one weight is downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from engine.fit.fit import fit, fit_header
from engine.fit.plan import Plan, Wish
from engine.gguf.remote import sketch
from engine.hub.client import HubClient
from engine.hub.download import resolve
from engine.hub.repository import ModelSource
from tests.engine.fit.machines import GIB, machine
from tests.engine.hub.conftest import NoWait
from tests.hub_double import HubDouble, HubFile
from tests.large_header import make_large_header

pytestmark = pytest.mark.native

REPO = "owner/model-GGUF"


def test_plan_of_the_remote_file_is_that_of_the_local_one(
    hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path, starter: Path
) -> None:
    content = starter.read_bytes()
    hub.add(REPO, {starter.name: HubFile(starter, sha256=hashlib.sha256(content).hexdigest())})
    remote = sketch(client, resolve(client, ModelSource(REPO), halt), tmp_path, halt)
    wish, here = Wish(n_ctx=2048), machine(8 * GIB)
    planned, known = fit_header(remote.header, wish, here), fit(starter, wish, here)
    assert isinstance(planned, Plan)
    assert isinstance(known, Plan)
    assert planned.devices == known.devices
    assert remote.traffic_bytes < 6_000_000


@pytest.mark.slow
def test_plan_for_30_billion_parameters_takes_megabytes(
    hub: HubDouble,
    client: HubClient,
    halt: NoWait,
    tmp_path: Path,
) -> None:
    path = make_large_header(tmp_path / "Qwen3-30B-A3B-Q4_K_M.gguf")
    hub.add(REPO, {path.name: HubFile(path, sha256="ab" * 32)})
    remote = sketch(client, resolve(client, ModelSource(REPO), halt), tmp_path / "plans", halt)
    plan = fit_header(remote.header, Wish(n_ctx=8192), machine(64 * GIB))
    assert isinstance(plan, Plan)
    assert plan.devices[0].weights_bytes == remote.header.weights_bytes > 16_000_000_000
    assert plan.devices[0].kv_bytes == 48 * 8192 * 4 * 128 * 2 * 2
    assert plan.devices[0].compute_bytes > 0
    assert remote.traffic_bytes <= 30_000_000
