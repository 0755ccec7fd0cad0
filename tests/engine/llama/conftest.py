"""The starter model, loaded once a module in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.llama import bindings
from engine.llama.context import Context
from engine.llama.model import Model
from tests.engine.served import plan


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    bindings.install_log(lambda level, line: None)
    made = Model.load(plan(), lambda ratio: True)
    yield made
    made.close()


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    made = Context(model, plan(n_ctx=512, n_batch=128, n_ubatch=64))
    yield made
    made.close()
