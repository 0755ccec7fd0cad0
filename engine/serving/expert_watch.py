"""Switches counting of the routers' choices on and off, on the engine's thread. Counting is ``engine.llama.experts``'.

llama.cpp takes the callback only with a new context, so switching forgets the prefixes of past conversations, and is
refused while anybody is answered.
"""

from __future__ import annotations

from engine.errors import RequestError, WorkerError
from engine.fit.routed import RoutedExperts
from engine.llama.context import Context
from engine.llama.experts import ExpertCounter, counter_for
from engine.llama.model import Model
from engine.serving.engine import Engine

_NOTHING = RoutedExperts(watching=False, n_experts=0, n_used=0, tokens=0, layers=())


class ExpertWatch:
    """The one counter of a worker's context."""

    def __init__(self, model: Model, context: Context, n_used: int | None) -> None:
        self._model = model
        self._context = context
        self._n_used = n_used
        self._counter: ExpertCounter | None = None
        self._watching = False

    def begin(self) -> None:
        """Count from now on, from nothing. Before the engine runs, or on its thread.

        Raises: ``WorkerError`` when the model has no experts, or the context cannot be made again.
        """
        if self._counter is None:
            architecture = self._model.metadata("general.architecture")
            self._counter = counter_for(architecture, self._model.metadata, self._n_used)
        self._counter.reset()
        if not self._watching:
            self._context.reopen(self._counter.callback)
            self._watching = True

    def end(self) -> None:
        """Stop counting; what was counted stays."""
        if self._watching:
            self._context.reopen(None)
            self._watching = False

    def counted(self) -> RoutedExperts:
        """What was counted. On the engine's thread."""
        return self._counter.counted(watching=self._watching) if self._counter is not None else _NOTHING

    def switch(self, engine: Engine, watching: bool) -> RoutedExperts | RequestError:
        """For ``Engine.ask``: a refusal is an answer, because an error would end the engine."""
        if not engine.at_rest:
            return RequestError("busy", "Somebody is being answered: watch the experts before or after.", status=409)
        if watching != self._watching:
            engine.drop_idle()
        try:
            if watching:
                self.begin()
            else:
                self.end()
        except WorkerError as error:
            if error.code != "no_experts":
                raise
            return RequestError(error.code, error.sentence, status=409)
        return self.counted()
