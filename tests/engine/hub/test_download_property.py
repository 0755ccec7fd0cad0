"""Whatever mixture of passing faults and pauses a download meets, the file at its end is the right one."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.hub.client import HubClient
from engine.hub.disk import Disk
from engine.hub.download import Progress, Surroundings, download, folder_of, resolve
from engine.hub.patience import Halted
from engine.hub.repository import ModelSource, RemoteModel
from engine.hub.transfer import Steps
from tests.engine.hub.conftest import NoWait
from tests.engine.hub.tiny_gguf import tiny_gguf
from tests.hub_double import Cut, Fault, HubDouble, Length, Status, Whole

REPO, FILE = "owner/model-GGUF", "tiny-Q4_0.gguf"
CONTENT = tiny_gguf(150_000)

_PLACES = st.integers(0, len(CONTENT))
_FAULTS = st.one_of(
    st.builds(Cut, _PLACES),
    st.builds(Length, st.integers(-2_000, 2_000)),
    st.just(Whole()),
    st.sampled_from([Status(500), Status(503), Status(429, retry_after="2")]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(_FAULTS, max_size=3),
    pauses=st.lists(_PLACES, max_size=3),
    segment=st.integers(10_000, 200_000),
    checkpoint=st.integers(1_000, 100_000),
)
def test_the_right_file_in_the_end(
    hub: HubDouble,
    client: HubClient,
    tmp_path: Path,
    faults: list[Fault],
    pauses: list[int],
    segment: int,
    checkpoint: int,
) -> None:
    models = tmp_path / "models"
    shutil.rmtree(models, ignore_errors=True)
    hub.behave()
    hub.add(REPO, {FILE: CONTENT})
    model = resolve(client, ModelSource(REPO), NoWait())
    disk = Disk(free_bytes=lambda _: 10**12)
    around = Surroundings(client, models, disk, Steps(segment, checkpoint))
    hub.misbehave(*faults, path=FILE)
    for place in pauses:
        try:
            _download_until(around, model, place)
        except Halted:
            assert not (folder_of(models, REPO) / FILE).exists()
    download(around, model, NoWait(), lambda _: None)
    assert (folder_of(models, REPO) / FILE).read_bytes() == CONTENT


def _download_until(around: Surroundings, model: RemoteModel, place: int) -> None:
    halt = NoWait()

    def watch(progress: Progress) -> None:
        if progress.doing == "downloading" and progress.done_bytes >= place:
            halt.set()

    download(around, model, halt, watch)
