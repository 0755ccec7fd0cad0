"""The models on disk and the one that is loaded: what ``app.services.ModelsApi`` promises.

All coroutines run in the core thread. What lies on disk is ``app.models.shelf``'s, what fits ``app.models.planner``'s,
keeping a process alive ``engine.worker.supervisor``'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.bus import Bus
from app.events import LoadedModelChanged, ModelsChanged, NoticeRaised
from app.models.disposal import Disposal
from app.models.fitness import judge
from app.models.lifecycle import Begin, Discard, Nothing, Observed, Target, choose_model, next_action, usual_n_ctx
from app.models.pins import Pins, explicit
from app.models.planner import Planner, device_words
from app.models.records import LoadedModel, Measured, ModelCard, Removed, Serving, does_not_chat
from app.models.shelf import Shelf
from app.models.stand_ins import usable_endpoints
from app.providers.provider import Endpoint
from app.settings import Settings
from engine.errors import DoesNotFit, GatehouseError, ModelFileError, StoreError, WorkerError
from engine.fit.plan import Misfit, Plan, Wish
from engine.fit.routed import RoutedExperts
from engine.hardware.profile import Machine
from engine.worker.spec import Failed, KeptStates, Ready, Stopped, WorkerSpec, WorkerState
from engine.worker.supervisor import Supervisor

_log = logging.getLogger(__name__)

_DEFAULT_N_CTX = 4096
"""Shown by the context meter while no plan exists."""

_LOSS_KNOWN_S = 2.0
"""A dead process is noticed within milliseconds; longer means that it lives and only the connection broke."""


@dataclass(slots=True)
class _Kept:
    """The present worker."""

    target: Target
    supervisor: Supervisor


class ModelsService:
    """The one implementation of ``ModelsApi``, and the host of answers (``app.chat.conversing.ModelHost``)."""

    def __init__(
        self,
        shelf: Shelf,
        planner: Planner,
        bus: Bus,
        settings: Settings,
        serving: Serving | None = None,
        on_ready: Callable[[], None] | None = None,
        *,
        remember: bool = True,
        pins: Pins | None = None,
        kept_states: Callable[[], Awaitable[KeptStates | None]] | None = None,
    ) -> None:
        """``remember`` writes down which model was loaded last, for the next start. ``kept_states`` says where a new
        worker keeps what it remembers of conversations."""
        self._kept_states = kept_states
        self._shelf = shelf
        self._disposal = Disposal(shelf)
        self._pins = pins
        self._planner = planner
        self._bus = bus
        self._settings = settings
        self._serving = serving or Serving()
        self._on_ready = on_ready
        self._remembering = remember
        self._desired: Target | None = None
        self._kept: _Kept | None = None
        self._wishes = 0
        """Counts ``load`` and ``unload``, so that a slow plan knows whether it is still wanted."""
        self._asked: str | None = None
        """What is being planned while nothing is loaded."""
        self._refused: LoadedModel | None = None
        """The last wish that could not be granted, until the next one."""
        self._converging = asyncio.Lock()
        self._waking = asyncio.Lock()
        self._news = asyncio.Event()
        self._closed = False
        self.make_room: Callable[[], Awaitable[None]] | None = None
        """Called before a model is planned: what only helps gives its memory back."""

    async def start(self) -> None:
        """Load the model of last time, or the built-in one. A failure becomes a notice."""
        await self._disposal.start()
        if not self._settings.values.load_last_model:
            return
        model_id = await self._choose(None)
        if model_id is None:
            return
        try:
            await self.load(model_id)
        except GatehouseError as error:
            self._bus.publish(NoticeRaised("warning", error.code, error.sentence, error.hint))

    async def close(self) -> None:
        """End the worker; nothing can be loaded any more."""
        self._closed = True
        self._wishes += 1
        self._desired = None
        await self._converge()
        await self._disposal.close()

    async def models(self) -> Sequence[ModelCard]:
        cards = await self._shelf.cards()
        machine = self._planner.known_machine()
        return cards if machine is None else tuple(replace(c, fitness=judge(c.size_bytes, machine)) for c in cards)

    async def add_file(self, path: Path) -> ModelCard:
        card = await self._shelf.add(path)
        self._bus.publish(ModelsChanged())
        return card

    async def remove(self, model_id: str) -> Removed:
        card = await self._shelf.card(model_id)
        if self.loaded().model_id == model_id and not card.built_in and not card.holder:
            await self.unload()  # first: a system may refuse to move a file that is mapped
        removed = await self._disposal.remove(card)
        self._bus.publish(ModelsChanged())
        return removed

    async def restore(self, token: str) -> None:
        await self._disposal.restore(token)
        self._bus.publish(ModelsChanged())

    def pinned(self, model_id: str) -> Wish | None:
        return self._pins.of(model_id) if self._pins is not None else None

    async def pin(self, model_id: str, wish: Wish, plan: Plan | None) -> None:
        """Raises ``StoreError`` when the disk refuses."""
        if self._pins is None:
            return
        try:
            self._pins.pin(model_id, explicit(wish, plan) if plan is not None else None)
        except OSError as error:
            raise StoreError("unwritable", f"The pin could not be saved: {error.strerror}.") from error

    async def measured(self, model_id: str) -> Measured | None:
        return await self._shelf.measured(model_id)

    async def command(self, plan: Plan) -> str:
        from engine.fit.command import server_command

        cards = await self._shelf.cards()
        architecture = next((card.architecture for card in cards if card.path == plan.model_path), "")
        endpoints = usable_endpoints(self._settings.values.rpc_endpoints)
        return server_command(plan, architecture=architecture, rpc_endpoints=endpoints)

    async def watch_experts(self, watching: bool) -> RoutedExperts | None:
        from app.models.expert_counts import switch_experts

        endpoint = self.endpoint()
        return await switch_experts(endpoint, watching=watching) if endpoint is not None else None

    async def experts(self) -> RoutedExperts | None:
        from app.models.expert_counts import read_experts

        endpoint = self.endpoint()
        routed = await read_experts(endpoint) if endpoint is not None else None
        return routed if routed is not None and routed.n_experts else None

    async def plan(self, model_id: str, wish: Wish) -> Plan | Misfit:
        return await self._planner.plan(await self._usable(model_id), wish, self._present_plan())

    async def load(self, model_id: str, wish: Wish | None = None) -> None:
        """Raises ``DoesNotFit``, ``ModelFileError`` or ``WorkerError``; returns when the model answers.

        What cannot be granted leaves the loaded model as it is. A later ``load`` or ``unload`` replaces the wish; then
        this returns without an error.
        """
        self._wishes += 1
        number = self._wishes
        wish = wish or self._usual_wish(model_id)
        kept = self._kept
        if kept is not None and kept.supervisor.running and kept.target == Target(model_id, wish, kept.target.plan):
            target = kept.target
        else:
            target = await self._target(model_id, wish, number)
        if number != self._wishes or self._closed:
            return
        self._asked = self._refused = None
        self._desired = target
        await self._converge()
        kept = self._kept
        if kept is None or kept.target != target:
            return
        try:
            await kept.supervisor.ready()
        except WorkerError:
            if self._kept is not kept:
                return
            raise
        self._remember(model_id, wish)

    async def unload(self) -> None:
        self._wishes += 1
        self._desired = self._asked = self._refused = None
        await self._converge()
        self._announce()

    def loaded(self) -> LoadedModel:
        if self._kept is not None:
            supervisor = self._kept.supervisor
            target = self._kept.target
            return LoadedModel(target.model_id, supervisor.state, supervisor.plan, None, target.wish)
        return self._refused or LoadedModel(self._asked, None, None, None)

    async def machine(self, refresh: bool = False) -> Machine:
        return await self._planner.machine(refresh)

    async def glance(self) -> Machine | None:
        return await self._planner.glance()

    def endpoint(self) -> Endpoint | None:
        kept = self._kept
        if kept is None or not isinstance(kept.supervisor.state, Ready) or not kept.supervisor.running:
            return None
        plan = kept.supervisor.plan
        # Without a token of its own the worker is open, or this process holds one of its keys.
        token = kept.supervisor.token or (self._serving.api_keys[0] if self._serving.api_keys else "")
        return Endpoint(kept.supervisor.state.address, token, kept.target.model_id, plan.n_ctx_each, device_words(plan))

    async def ensure_ready(self, model_id: str | None) -> Endpoint:
        while self._asked is not None:  # it is being planned
            await self._news.wait()
        async with self._waking:  # several may ask at once: one loads, the others find it loaded
            if self._kept is None or not self._kept.supervisor.running:
                # Nothing was asked for, or it gave up earlier and the person asks again.
                chosen = self._kept.target.model_id if self._kept else await self._choose(model_id)
                if chosen is None:
                    raise ModelFileError("no_model", "There is no model on this machine yet.", "Add a GGUF file first.")
                await self.load(chosen)
        if self._kept is not None:
            await self._kept.supervisor.ready()
        endpoint = self.endpoint()
        if endpoint is None:
            raise WorkerError("not_loaded", "No model is loaded.", "Load one first.")
        return endpoint

    def expected_n_ctx(self) -> int:
        if self._kept is not None:
            return self._kept.supervisor.plan.n_ctx_each
        return self._settings.values.n_ctx or _DEFAULT_N_CTX

    async def explain_loss(self, endpoint: Endpoint) -> GatehouseError | None:
        kept = self._kept
        if kept is None:
            return WorkerError("unloaded", "The model was unloaded while it was answering.")
        if isinstance(kept.supervisor.state, Ready) and kept.supervisor.state.address == endpoint.address:
            await self._wait_for_other_state(kept.supervisor, kept.supervisor.state)
        state = kept.supervisor.state
        return WorkerError(state.code, state.sentence, state.hint) if isinstance(state, Failed) else None

    async def _wait_for_other_state(self, supervisor: Supervisor, known: WorkerState) -> None:
        try:
            async with asyncio.timeout(_LOSS_KNOWN_S):
                while supervisor.state is known:
                    await self._news.wait()
        except TimeoutError:
            return

    async def _target(self, model_id: str, wish: Wish, number: int) -> Target:
        """Plan the wish. Raises ``GatehouseError`` when it cannot be granted."""
        self._asked, self._refused = model_id, None
        self._announce()
        refused: LoadedModel | None = None
        try:
            if self.make_room is not None:
                await self.make_room()
            card = await self._usable(model_id)
            if self._serving.private and card.output != "text":
                raise does_not_chat(card)
            plan = await self._planner.plan(card, wish, self._present_plan())
            if isinstance(plan, Plan):
                return Target(model_id, wish, plan)
            refused = LoadedModel(model_id, None, None, plan)
            raise DoesNotFit("does_not_fit", plan.sentence, plan.hint)
        except GatehouseError as error:
            failed = Failed(error.code, error.sentence, error.hint, "")
            refused = refused or LoadedModel(model_id, failed, None, None)
            raise
        finally:
            if number == self._wishes:
                self._asked, self._refused = None, refused
                self._announce()

    async def _converge(self) -> None:
        """Step towards what is desired until nothing is left to do."""
        async with self._converging:
            while True:
                kept = self._kept
                running = kept is not None and kept.supervisor.running
                match next_action(self._desired, Observed(kept.target if kept else None, running)):
                    case Nothing():
                        return
                    case Discard():
                        await self._discard()
                    case Begin(target):
                        await self._keep(target)

    async def _discard(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.supervisor.stop()

    def _present_plan(self) -> Plan | None:
        return self._kept.supervisor.plan if self._kept is not None and self._kept.supervisor.running else None

    async def _keep(self, target: Target) -> None:
        kept_states = await self._kept_states() if self._kept_states is not None else None
        spec = WorkerSpec(
            plan=target.plan,
            model_id=target.model_id,
            host=self._serving.host,
            port=self._serving.port,
            api_keys=self._serving.api_keys,
            parent_pid=os.getpid(),
            rpc_endpoints=usable_endpoints(self._settings.values.rpc_endpoints),
            kept_states=kept_states,
        )
        supervisor = Supervisor(spec, lambda state: self._on_state(kept, state), private=self._serving.private)
        kept = self._kept = _Kept(target, supervisor)
        supervisor.start()
        self._announce()

    def _on_state(self, kept: _Kept, state: WorkerState) -> None:
        if self._kept is not kept or isinstance(state, Stopped):
            self._wake()
            return
        self._announce()
        if isinstance(state, Ready) and self._on_ready is not None:
            self._on_ready()
        if isinstance(state, Failed):
            hint = "It is being started again." if kept.supervisor.will_restart else state.hint
            level: Literal["warning", "error"] = "warning" if kept.supervisor.will_restart else "error"
            self._bus.publish(NoticeRaised(level, state.code, state.sentence, hint))

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _announce(self) -> None:
        self._wake()
        self._bus.publish(LoadedModelChanged(self.loaded()))

    def _usual_wish(self, model_id: str) -> Wish:
        values, serving = self._settings.values, self._serving
        n_ctx = usual_n_ctx(model_id, values.last_model_id, values.last_n_ctx, values.n_ctx)
        wish = self.pinned(model_id) or Wish(n_ctx=n_ctx)
        if serving.users is not None:
            wish = replace(wish, sessions=serving.users, apart=True)
        return wish if serving.n_ctx is None else replace(wish, n_ctx=serving.n_ctx)

    def _remember(self, model_id: str, wish: Wish) -> None:
        values = self._settings.values
        own = wish.n_ctx if wish.n_ctx != values.n_ctx else None
        if not self._remembering or (values.last_model_id, values.last_n_ctx) == (model_id, own):
            return
        try:
            self._settings.update(last_model_id=model_id, last_n_ctx=own)
        except OSError as error:
            _log.warning("The model used last could not be remembered: %s", error.strerror)

    async def _choose(self, model_id: str | None) -> str | None:
        cards = [card for card in await self._shelf.cards() if not card.fault and card.output == "text"]
        usable = tuple(card.id for card in cards)
        built_in = tuple(card.id for card in cards if card.built_in)
        return choose_model(model_id, self._settings.values.last_model_id, usable, built_in)

    async def _usable(self, model_id: str) -> ModelCard:
        card = await self._shelf.card(model_id)
        if card.fault:
            raise ModelFileError("unusable_model", card.fault)
        return card
