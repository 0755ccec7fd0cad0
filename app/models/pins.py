"""Plans that a person pinned: the wish with which a model is loaded from then on, in one JSON file."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

from engine.fit.plan import Plan, Wish
from engine.records import RecordFault, from_plain, to_plain

_log = logging.getLogger(__name__)
_SIZE_LIMIT = 1_048_576


class Pins:
    """Read once, written at each change. Small; used in the core thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wishes: dict[str, Wish] | None = None

    def of(self, model_id: str) -> Wish | None:
        return self._known().get(model_id)

    def pin(self, model_id: str, wish: Wish | None) -> None:
        """``None`` unpins. Raises ``OSError``."""
        known = dict(self._known())
        if wish is None:
            known.pop(model_id, None)
        else:
            known[model_id] = wish
        beside = self._path.with_name(f".{self._path.name}-{os.getpid()}")
        try:
            beside.write_text(json.dumps({name: to_plain(kept) for name, kept in known.items()}, indent=1), "utf-8")
            beside.replace(self._path)
        finally:
            beside.unlink(missing_ok=True)
        self._wishes = known

    def _known(self) -> dict[str, Wish]:
        if self._wishes is None:
            self._wishes = _read(self._path)
        return self._wishes


def explicit(wish: Wish, plan: Plan) -> Wish:
    """The wish with everything said that the planner chose by itself, so that it chooses the same again."""
    # As many layers as the plan keeps in main memory; a model that lies on one device wholly stays free.
    experts = len(plan.experts_in_ram) if plan.experts_in_ram else wish.experts_in_ram
    return replace(
        wish,
        n_ctx=plan.n_ctx_each,
        kv_type=plan.kv_type,
        experts_in_ram=experts,
        n_expert_used=plan.n_expert_used or wish.n_expert_used,
    )


def _read(path: Path) -> dict[str, Wish]:
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            return {}
        content = json.loads(path.read_bytes())
        return {str(name): from_plain(Wish, entry, "pin") for name, entry in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, RecursionError, RecordFault) as error:
        _log.warning("The pinned plans cannot be read: %s", error)
        return {}
