"""Models for the engine's tests. Made ones are kept in pytest's cache, so that only the first run pays for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.made_models import STARTER, TINY_LLAMA, make_moe, make_tiny


@pytest.fixture(scope="session")
def made_folder(request: pytest.FixtureRequest) -> Path:
    """Where made models are kept between runs."""
    cache = request.config.cache
    assert cache is not None
    return Path(cache.mkdir("made-models-5"))


@pytest.fixture(scope="session")
def starter() -> Path:
    """The model that comes with the set-up."""
    assert STARTER.is_file(), "the starter model is missing; run the set-up"
    return STARTER


@pytest.fixture(scope="session")
def tiny_model(made_folder: Path) -> Path:
    """A random llama of 260 kB: loads at once, says nothing sensible."""
    return make_tiny(TINY_LLAMA, made_folder / "tiny-llama.gguf")


@pytest.fixture(scope="session")
def moe_model(made_folder: Path, starter: Path) -> Path:
    """The starter as a mixture of four equal experts, two used for each token: 250 MB."""
    return make_moe(made_folder / "SmolLM2-4x135M-Q4_1.gguf", starter=starter)
