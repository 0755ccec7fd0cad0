"""A server of one's own team: asked like the cloud, but trusted with what is confidential, and never with more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from app.chat.records import MessageStatus
from app.gate.label import GateMode, Label
from app.gate.records import Ask, Outcome
from app.lanes import StoreLane
from app.paths import resolve
from engine.errors import GatehouseError
from tests.app.gate.made_gate import GateStage, close, gate_stage
from tests.cloud_double import CloudDouble

pytestmark = pytest.mark.asyncio(loop_scope="module")

IBAN = "DE89370400440532013000"
QUESTION = f"The rent goes to {IBAN}. When is it due?"


@pytest.fixture(scope="module")
def server() -> Iterator[CloudDouble]:
    with CloudDouble() as double:
        yield double


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, server: CloudDouble) -> AsyncIterator[GateStage]:
    paths = resolve(tmp_path_factory.mktemp("team") / "data")
    paths.make_folders()
    lane = StoreLane(paths.database)
    made = await gate_stage(lane, paths)
    changes: dict[str, Any] = {"trust": "team", "input_usd_per_mtok": None, "output_usd_per_mtok": None}
    await made.provider(server.base_url, **changes)
    await made.gate.scan("the detectors' process lives as long as the module")
    yield made
    await close(made)
    lane.close()


async def test_what_is_confidential_goes_there_at_once_from_an_open_conversation(
    stage: GateStage, server: CloudDouble
) -> None:
    """Hidden as for the cloud, for nothing, even under a budget that is spent; and in the ledger."""
    await stage.gate.set_budget(0.0, 0.0)
    local = await stage.answered(QUESTION, "An answer.", GateMode.OPEN, Label.CONFIDENTIAL)
    answer = await stage.finished(await stage.gate.ask(Ask(local.conversation_id, local.id)))
    assert answer.status is MessageStatus.COMPLETE
    assert answer.stats is not None
    assert (answer.stats.route, answer.stats.cost_usd) == ("team", 0.0)
    sent = server.seen()[-1].body
    assert IBAN not in sent
    assert "[IBAN_1]" in json.loads(sent)["messages"][-1]["content"]
    begun, ended = (await stage.gate.ledger()).rows
    assert (begun.label, begun.mode, begun.consent) == (Label.CONFIDENTIAL, GateMode.OPEN, "open conversation")
    assert (ended.outcome, ended.cost_usd) == (Outcome.COMPLETE, 0.0)


@pytest.mark.parametrize(
    ("mode", "label", "code"),
    [
        (GateMode.OPEN, Label.RESTRICTED, "restricted"),
        (GateMode.LOCAL, Label.PUBLIC, "local_only"),
        (GateMode.ASK, Label.PUBLIC, "needs_sheet"),
    ],
)
async def test_trust_opens_no_gate(
    stage: GateStage, server: CloudDouble, mode: GateMode, label: Label, code: str
) -> None:
    local = await stage.answered("A question.", "An answer.", mode, label)
    before = len(server.seen())
    with pytest.raises(GatehouseError) as caught:
        await stage.gate.ask(Ask(local.conversation_id, local.id))
    assert caught.value.code == code
    assert len(server.seen()) == before


async def test_a_server_on_the_internet_is_nobodys_team(stage: GateStage) -> None:
    with pytest.raises(GatehouseError) as caught:
        await stage.provider("https://8.8.8.8/v1", trust="team")
    assert caught.value.code == "not_local"
