"""One question of fitting, with everything that does not change while contexts are tried. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.fit.budget import Budgets
from engine.fit.buffers import BufferSource
from engine.fit.facts import ModelFacts
from engine.fit.footprint import CacheShape
from engine.fit.placement import Compute, Layout, Placement
from engine.fit.plan import KvType, Wish
from engine.fit.rates import MachineRates
from engine.fit.speed import Pace, task_of
from engine.hardware.profile import Machine

USUAL_BATCH = 512


@dataclass(frozen=True, slots=True)
class Case:
    """A model, a wish and a machine."""

    facts: ModelFacts
    wish: Wish
    machine: Machine
    budgets: Budgets
    rates: MachineRates
    n_seq_max: int
    n_ctx_most: int
    """Of one part, as all contexts that are tried."""
    buffers: BufferSource
    kv_type: KvType
    n_parts: int = 1
    """Of the cache; 1: all sequences share it."""
    kv_reason: str = ""
    n_ubatch: int = USUAL_BATCH
    _paces: dict[CacheShape, Pace] = field(default_factory=dict, compare=False)

    def shape(self, n_ctx: int) -> CacheShape:
        """Of all parts together, when each has ``n_ctx``."""
        n_cells = n_ctx * self.n_parts
        n_ubatch = min(n_cells, self.n_ubatch)
        return CacheShape(n_cells, self.n_seq_max, n_ubatch, self.kv_type, kv_unified=self.n_parts == 1)

    def pace(self, shape: CacheShape) -> Pace:
        """Of the profile's task; made once for each shape."""
        if shape not in self._paces:
            task = task_of(self.wish.profile, self.wish.sessions)
            self._paces[shape] = Pace(self.facts, shape, self.rates, task, n_expert_used=self.wish.n_expert_used)
        return self._paces[shape]

    def pace_alone(self, shape: CacheShape) -> Pace:
        """Of one session, whatever the profile is made for."""
        task = replace(task_of(self.wish.profile, self.wish.sessions), sessions=1)
        return Pace(self.facts, shape, self.rates, task, n_expert_used=self.wish.n_expert_used)

    def other(self, *, kv_type: KvType | None = None, kv_reason: str = "", n_ubatch: int | None = None) -> Case:
        """The same question with another cache or micro-batch."""
        return replace(
            self,
            kv_type=kv_type or self.kv_type,
            kv_reason=kv_reason or self.kv_reason,
            n_ubatch=n_ubatch or self.n_ubatch,
            _paces={},
        )

    def layout(self, shape: CacheShape, compute: Compute) -> Layout:
        return Layout(self.facts, shape, self.budgets, compute, self.pace(shape))

    def place(self, shape: CacheShape, compute: Compute) -> Placement:
        return self.layout(shape, compute).place(self.wish.experts_in_ram)
