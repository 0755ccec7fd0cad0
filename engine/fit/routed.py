"""Which experts a model's routers picked, as counted by ``engine.llama.experts`` in a worker. Pure records.

A layer is drawn as one row of a heat map: :attr:`LayerRouting.shares` are its cells, 0 to 1, and their mean is
``1 / n_experts`` when all experts are used alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HOTTEST_RATIO = 0.1
"""The hottest tenth of a layer's experts is what its share is told of."""


@dataclass(frozen=True, slots=True)
class LayerRouting:
    """How often each expert of one layer was picked."""

    layer: int
    counts: tuple[int, ...]
    """By expert; they sum to tokens times experts per token."""

    @property
    def picks(self) -> int:
        return sum(self.counts)

    @property
    def shares(self) -> tuple[float, ...]:
        """Of all picks, by expert; all 0 before anything was counted."""
        picks = self.picks
        return tuple(count / picks if picks else 0.0 for count in self.counts)

    @property
    def hottest_share(self) -> float:
        """Share of the picks that went to the hottest tenth of the experts, at least one of them; 0 to 1."""
        picks = self.picks
        hottest = sorted(self.counts, reverse=True)[: hottest_count(len(self.counts))]
        return sum(hottest) / picks if picks else 0.0

    @property
    def never_used(self) -> tuple[int, ...]:
        """The experts that no token was sent to."""
        return tuple(expert for expert, count in enumerate(self.counts) if count == 0)


@dataclass(frozen=True, slots=True)
class RoutedExperts:
    """All layers with a router, and over how many tokens they were counted."""

    watching: bool
    """Whether the worker goes on counting now."""
    n_experts: int
    n_used: int
    """Experts per token."""
    tokens: int
    layers: tuple[LayerRouting, ...]

    @property
    def hottest_share(self) -> float:
        """Over all layers: the share of picks that went to each layer's hottest tenth; 0 to 1."""
        picks = sum(layer.picks for layer in self.layers)
        return sum(layer.hottest_share * layer.picks for layer in self.layers) / picks if picks else 0.0

    @property
    def never_used(self) -> int:
        """Experts of all layers that no token was sent to."""
        return sum(len(layer.never_used) for layer in self.layers)


def hottest_count(n_experts: int) -> int:
    """How many experts the hottest tenth is: rounded up, so that there is always one."""
    return -(-n_experts // round(1 / HOTTEST_RATIO))


def routed_object(routed: RoutedExperts) -> dict[str, Any]:
    """The counts with what follows from them, as JSON's types: the worker's answer, and part of the command's."""
    return {
        "watching": routed.watching,
        "n_experts": routed.n_experts,
        "n_used": routed.n_used,
        "tokens": routed.tokens,
        "hottest_share": round(routed.hottest_share, 4),
        "never_used": routed.never_used,
        "layers": [
            {
                "layer": layer.layer,
                "counts": list(layer.counts),
                "hottest_share": round(layer.hottest_share, 4),
                "never_used": list(layer.never_used),
            }
            for layer in routed.layers
        ],
    }
