"""The built-in schemas with a model that can fill them: values, their proof, tables row by row, sums that hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from app.documents.pool import ReaderPool
from app.extraction.ask import LocalAsker
from app.extraction.builtin import builtin_schema
from app.extraction.pipeline import extract
from app.extraction.records import Extraction, Grounding
from app.extraction.schema import FieldType
from app.providers.provider import Endpoint
from tests.app.extraction.papers import PAPERS, Paper
from tests.bench.serving_sides import Setting, our_worker
from tests.fetched_models import QWEN, installed

pytestmark = [
    pytest.mark.models,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(installed(QWEN) is None, reason="python -m tests.fetched_models fetches the model"),
]

N_CTX = 8192
MAY_ERR = 0.2
"""The share of values that a model of this size may get wrong; rows, their amounts, proofs and sums may not be."""
_CONCLUDED = (FieldType.BOOLEAN, FieldType.CHOICE)
"""Types whose values need not stand in the document."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asker() -> AsyncIterator[LocalAsker]:
    model = installed(QWEN)
    assert model is not None
    async with our_worker(Setting(model, 1, N_CTX)) as side:
        found = LocalAsker(Endpoint(side.target.address, side.target.token, model.stem, N_CTX, "CPU"))
        yield found
        await found.close()


async def _extract(paper: Paper, folder: Path, asker: LocalAsker) -> Extraction:
    path = folder / paper.name
    path.write_bytes(paper.content)
    pool = ReaderPool(1)
    try:
        reading = await pool.read(path)
    finally:
        await pool.close()
    return await extract(reading, builtin_schema(paper.schema), (), asker)


@pytest.mark.parametrize("make", PAPERS, ids=lambda make: make.__name__)
async def test_a_document_of_a_built_in_kind(make: Callable[[], Paper], tmp_path: Path, asker: LocalAsker) -> None:
    paper = make()
    made = await _extract(paper, tmp_path, asker)
    by_name = {value.name: value for value in made.values}
    wrong = {
        name: (by_name[name].value if name in by_name else "missing", right)
        for name, right in paper.values.items()
        if name not in by_name or by_name[name].value != right
    }
    assert len(wrong) <= MAY_ERR * len(paper.values), wrong
    for table, count in paper.rows.items():
        assert len({name.partition(".")[0] for name in by_name if name.startswith(f"{table}[")}) == count
        cells = {name: error for name, error in wrong.items() if name.startswith(f"{table}[") and "amount" in name}
        assert cells == {}
    unproven = [v.name for v in made.values if v.grounding is Grounding.UNPROVEN and v.type not in _CONCLUDED]
    assert unproven == []
    assert [problem for value in made.values for problem in value.problems if "add up" in problem] == []
