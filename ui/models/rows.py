"""A model of any origin as one row of the table: on disk, of the catalogue, or found by a search; and what is filtered.

Pure. Unknown facts stay unknown and are never filtered in by a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QCoreApplication

from app.models.fitness import Fitness
from app.models.offers import Kind, Offer
from app.models.records import LoadedModel, ModelCard
from engine.worker.spec import Failed, Loading, Ready, Starting
from ui import display

Fit = Literal["", "runs", "not"]
KindWish = Literal["", "dense", "moe", "embedding"]
_GB = 1_000_000_000
SIZES: tuple[tuple[int, int | None], ...] = ((0, 4 * _GB), (4 * _GB, 10 * _GB), (10 * _GB, 24 * _GB), (24 * _GB, None))
"""Bytes from and below; the classes that the size filter offers."""
_FREE = ("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0")
"""Licences that ask for no more than being named."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    key: str
    source: ModelCard | Offer
    name: str
    maker: str
    size_bytes: int | None
    parameters: int | None
    kind: Kind | None
    n_expert: int
    n_expert_used: int
    architecture: str
    quantization: str
    n_ctx: int | None
    licence: str
    tasks: tuple[str, ...]
    fitness: Fitness

    @property
    def fault(self) -> str:
        """Of a damaged file, else empty."""
        return self.source.fault if isinstance(self.source, ModelCard) else ""


@dataclass(frozen=True, slots=True)
class Filters:
    """What is to be seen; empty leaves it open."""

    words: tuple[str, ...] = ()
    """Case folded."""
    task: str = ""
    kind: KindWish = ""
    size: int | None = None
    """A place in ``SIZES``."""
    licence: Literal["", "free", "terms"] = ""
    fit: Fit = ""


def row_of_card(card: ModelCard) -> Row:
    """A model on this machine."""
    return Row(
        key=card.id,
        source=card,
        name=card.name,
        maker="",
        size_bytes=card.size_bytes,
        parameters=card.parameters,
        kind=None if card.fault else ("moe" if card.n_expert else "dense"),
        n_expert=card.n_expert,
        n_expert_used=card.n_expert_used,
        architecture=card.architecture,
        quantization=card.quantization,
        n_ctx=card.n_ctx_train,
        licence=card.licence or "",
        tasks=(),
        fitness=card.fitness,
    )


def row_of_offer(offer: Offer) -> Row:
    """A model that could be fetched."""
    choice = offer.choice
    return Row(
        key=offer.id,
        source=offer,
        name=offer.name,
        maker=offer.maker,
        size_bytes=choice.size_bytes if choice else None,
        parameters=offer.parameters,
        kind=offer.kind,
        n_expert=offer.n_expert,
        n_expert_used=offer.n_expert_used,
        architecture=offer.architecture,
        quantization=choice.quantization if choice else "",
        n_ctx=offer.n_ctx_train,
        licence=offer.licence or "",
        tasks=offer.tasks,
        fitness=choice.fitness if choice else Fitness("unknown", ""),
    )


def matches(row: Row, filters: Filters) -> bool:
    """Whether a row is to be seen."""
    return (
        _has_words(row, filters.words)
        and (not filters.task or filters.task in row.tasks)
        and (not filters.kind or row.kind == filters.kind)
        and (filters.size is None or _has_size(row, filters.size))
        and (not filters.licence or (row.licence.lower() in _FREE) == (filters.licence == "free"))
        and (not filters.fit or _fits(row, filters.fit))
    )


def _has_words(row: Row, words: Sequence[str]) -> bool:
    texts = (row.name, row.key, row.maker, row.architecture, row.quantization, kind_words(row), row.licence)
    text = " ".join((*texts, holder_words(row))).casefold()
    return all(word in text for word in words)


def _has_size(row: Row, place: int) -> bool:
    least, most = SIZES[place]
    return row.size_bytes is not None and row.size_bytes >= least and (most is None or row.size_bytes < most)


def _fits(row: Row, wish: Fit) -> bool:
    if row.fitness.verdict == "unknown" or row.fault:
        return False
    return (row.fitness.verdict == "too_large") == (wish == "not")


def kind_words(row: Row) -> str:
    """``Dense``, ``MoE``, ``MoE 8 of 128``; a dash when unknown."""
    if row.kind == "embedding":
        return _tr("Embedding")
    if row.kind == "moe" and not row.n_expert:
        return _tr("MoE")
    if row.kind == "moe":
        return _tr("MoE %1 of %2").replace("%1", str(row.n_expert_used)).replace("%2", str(row.n_expert))
    return _tr("Dense") if row.kind == "dense" else "—"


def holder_words(row: Row) -> str:
    """Who has it: the other program, ourselves, or nobody here."""
    if isinstance(row.source, Offer):
        return ""
    if row.source.built_in:
        return _tr("Built in")
    return row.source.holder or _tr("On disk")


def state_words(row: Row, loaded: LoadedModel) -> str:
    """What the model is doing, in one or two words; of an offer, its maker."""
    if isinstance(row.source, Offer):
        return row.maker
    if row.fault:
        return _tr("Damaged")
    if loaded.model_id == row.key and isinstance(loaded.state, Loading):
        return _tr("Loading %1").replace("%1", display.percent(loaded.state.progress_ratio))
    known = {Ready: _tr("Loaded"), Starting: _tr("Starting"), Failed: _tr("Failed")}
    return known.get(type(loaded.state), holder_words(row)) if loaded.model_id == row.key else holder_words(row)


def fit_words(fitness: Fitness) -> str:
    """The verdict in a word or two."""
    return {
        "fits": _tr("Fits"),
        "splits": _tr("Card + RAM"),
        "tight": _tr("Tight"),
        "too_large": _tr("Too large"),
        "unknown": "—",
    }[fitness.verdict]


def speed_words(row: Row) -> str:
    """The predicted band, ``18–24 tok/s``; a dash when nobody knows."""
    band = row.fitness.decode_tok_s
    return display.speed_band(band.low, band.high) if band is not None else "—"


FIT_TONES = {"fits": "success", "splits": "success", "tight": "warning", "too_large": "faint", "unknown": "faint"}
"""The colour names of the verdicts."""


def _tr(text: str) -> str:
    return QCoreApplication.translate("models", text)
