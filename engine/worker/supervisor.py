"""Keeps one worker: starts it, follows its life, restarts it after a death, stops it. Runs in one asyncio loop.

Naming a death is ``diagnosis``'s, deciding what follows ``lifecycle``'s, judging silence ``watch``'s; here are only the
effects. Requests to the worker's API are the caller's: it gets an address and a token.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from engine.errors import WorkerError
from engine.fit.plan import Plan
from engine.hardware.memory import read_memory
from engine.worker.diagnosis import Death, EndedBy, describe_exit, diagnose, last_lines
from engine.worker.lifecycle import GiveUp, Life, Restart, RestartPolicy, is_quick, next_action
from engine.worker.process import ChildProcess, LogRing, memory_kills, worker_command
from engine.worker.spec import Failed, Ready, Stopped, WorkerSpec, WorkerState
from engine.worker.watch import OutOfOrder, Patience, Watch
from engine.worker.wire import MAX_EVENT_BYTES, STOP_LINE, WireFault, decode_state, encode_spec

_log = logging.getLogger(__name__)
_READ_BYTES: Final = 64 << 10
_LAST_WORDS_S: Final = 0.5

StateListener = Callable[[WorkerState], None]


def _deaf(_state: WorkerState) -> None:
    return


@dataclass(frozen=True, slots=True)
class _Ending:
    by: EndedBy
    detail: str = ""


class Supervisor:
    """One model's worker, kept alive until told otherwise.

    ``on_state`` is called in the loop's thread for every news, also for a ``Failed`` that a restart follows (then
    ``will_restart`` is true). Use it from one loop only.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        on_state: StateListener = _deaf,
        *,
        private: bool = True,
        patience: Patience | None = None,
        policy: RestartPolicy | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        """``private``: each life gets a fresh bearer token beside the keys of ``spec``."""
        self._template = spec
        self._on_state = on_state
        self._private = private
        self._patience = patience or Patience()
        self._policy = policy or RestartPolicy()
        self._command = tuple(command or worker_command())
        self._plan = spec.plan
        self._state: WorkerState | None = None
        self._token: str | None = None
        self._pid: int | None = None
        self._log_ring = LogRing()
        self._changed = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self.will_restart = False
        """True between an unexpected death and the next start."""

    @property
    def state(self) -> WorkerState | None:
        """The worker's state as last announced; ``None`` before the first start."""
        return self._state

    @property
    def plan(self) -> Plan:
        """The plan now in force; smaller than the first one after a death for want of memory."""
        return self._plan

    @property
    def address(self) -> str | None:
        return self._state.address if isinstance(self._state, Ready) else None

    @property
    def token(self) -> str | None:
        """The bearer token of the present life."""
        return self._token

    @property
    def pid(self) -> int | None:
        """The present process."""
        return self._pid

    @property
    def running(self) -> bool:
        """True from ``start`` until it stopped or gave up."""
        return self._keeping is not None and not self._keeping.done()

    def log_lines(self) -> tuple[str, ...]:
        """The end of the log of the present or last life."""
        return self._log_ring.lines()

    def start(self, plan: Plan | None = None) -> None:
        """Begin to keep the worker. Nothing happens when it is being kept already."""
        if self.running:
            return
        if plan is not None:
            self._plan = plan
        self._stop_asked = asyncio.Event()
        self._state = None
        self._keeping = asyncio.create_task(self._keep(), name=f"keep worker {self._template.model_id}")

    async def ready(self, timeout_s: float = 300.0, *, other_than: Ready | None = None) -> Ready:
        """Wait until the worker answers. ``other_than``: a life already known to be dead does not count.

        Raises ``WorkerError`` with the cause when it gave up, was stopped, or takes longer than ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not isinstance(self._state, Ready) or self._state is other_than:
                    if not self.running:
                        raise self._refusal()
                    await self._changed.wait()
                return self._state
        except TimeoutError:
            raise WorkerError("worker_slow", f"The model was not ready within {timeout_s:.0f} s.") from None

    async def stop(self) -> None:
        """End the worker: ask, terminate, kill. Returns when it is gone."""
        self._stop_asked.set()
        if self._keeping is not None:
            await asyncio.shield(self._keeping)

    def _refusal(self) -> BaseException:
        bug = self._keeping.exception() if self._keeping and not self._keeping.cancelled() else None
        if bug is not None:
            return bug
        if isinstance(self._state, Failed):
            return WorkerError(self._state.code, self._state.sentence, self._state.hint)
        return WorkerError("worker_stopped", "The model is not loaded.", "Load it first.")

    def _announce(self, state: WorkerState) -> None:
        self._state = state
        self._wake()
        self._on_state(state)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _keep(self) -> None:
        """One life after the other until told to stop or giving up."""
        quick_deaths = 0
        try:
            while True:
                life = await self._live()
                if self._stop_asked.is_set():
                    return
                quick_deaths = quick_deaths + 1 if is_quick(life, self._policy) else 1
                action = next_action(life, quick_deaths, self._policy)
                _log.warning("worker %s: %s: %s -> %s", *self._describe(life, action))
                if isinstance(action, GiveUp):
                    self._announce(action.failed)
                    return
                await self._pause_before(action, life.failed)
        finally:
            self.will_restart = False
            if self._stop_asked.is_set():
                self._announce(Stopped())
            asyncio.get_running_loop().call_soon(self._wake)  # once more when the task is done: ``running`` changed

    async def _pause_before(self, action: Restart, failed: Failed) -> None:
        self._plan = action.plan
        self.will_restart = True
        if action.gives_up:
            failed = replace(failed, hint=f"It is loaded again with less. {action.gives_up}")
        self._announce(failed)
        try:
            async with asyncio.timeout(action.after_s):
                await self._stop_asked.wait()
        except TimeoutError:
            return

    def _describe(self, life: Life, action: Restart | GiveUp) -> tuple[str, str, str, str]:
        following = "gives up" if isinstance(action, GiveUp) else f"again after {action.after_s:g} s"
        return self._template.model_id, life.failed.code, life.failed.sentence, following

    async def _live(self) -> Life:
        """One life, from the start of the process until it is gone."""
        if self._stop_asked.is_set():
            return Life(self._plan, False, 0.0, False, Failed("stopped", "", "", ""))
        self._token = secrets.token_urlsafe(32) if self._private else None
        self._log_ring = LogRing()
        keys = (*([self._token] if self._token else []), *self._template.api_keys)
        line = encode_spec(replace(self._template, plan=self._plan, api_keys=keys, parent_pid=os.getpid()))
        kills_before = memory_kills()
        watch = Watch(self._patience)
        loop = asyncio.get_running_loop()
        ready_at: list[float] = []

        def tell(state: WorkerState) -> None:
            if isinstance(state, Ready):
                ready_at.append(loop.time())
            self._announce(state)

        exit_code: int | None = None
        try:
            child = await ChildProcess.start(self._command)
        except OSError as error:
            ending = _Ending("unstartable", str(error))
        else:
            self._pid, self.will_restart = child.pid, False
            try:
                ending = await _Body(child, watch, self._log_ring, self._patience, tell).run(line, self._stop_asked)
                exit_code = child.exit_code
            finally:
                child.abandon()
                self._pid = None
        ready_s = loop.time() - ready_at[0] if ready_at else 0.0
        killed_for_memory = kills_before is not None and (memory_kills() or 0) > kills_before
        lines = last_lines(self._log_ring.lines())
        free = (("CPU", read_memory().available_bytes),)
        death = Death(exit_code, lines, watch.state, ending.by, ending.detail, killed_for_memory, self._plan, free)
        _log.info("worker %s ended: %s", self._template.model_id, describe_exit(exit_code))
        return Life(self._plan, bool(ready_at), ready_s, isinstance(watch.state, Failed), diagnose(death))


class _Body:
    """The running process of one life: reads its streams, watches its heart, ends it when it must."""

    def __init__(
        self, child: ChildProcess, watch: Watch, log: LogRing, patience: Patience, tell: StateListener
    ) -> None:
        self._child = child
        self._watch = watch
        self._log = log
        self._patience = patience
        self._tell = tell
        self._strange = 0

    async def run(self, spec_line: str, stop_asked: asyncio.Event) -> _Ending:
        """Until the process is gone."""
        reading = asyncio.create_task(self._read_events(), name="worker events")
        logging_ = asyncio.create_task(self._read_log(), name="worker log")
        beating = asyncio.create_task(self._watch_heart(), name="worker heartbeat")
        gone = asyncio.create_task(self._child.wait(), name="worker exit")
        stopping = asyncio.create_task(stop_asked.wait(), name="worker stop")
        speaking = asyncio.create_task(self._child.say(spec_line), name="worker spec")
        tasks = (reading, logging_, beating, gone, stopping, speaking)
        try:
            await asyncio.wait((reading, beating, gone, stopping), return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                await self._end(self._patience.ask_s, STOP_LINE)
                return _Ending("itself")
            if gone.done():
                return _Ending("itself")
            if beating.done():
                await self._end(0.0)
                return _Ending("hung", beating.result())
            fault = reading.result()
            await self._end(0.0 if fault else self._patience.terminate_s)
            return _Ending("protocol", fault) if fault else _Ending("itself")
        finally:
            # What it wrote last is the best evidence; but a grandchild may hold the pipes open for ever.
            await asyncio.wait((reading, logging_), timeout=_LAST_WORDS_S)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for result in ended:
                if isinstance(result, Exception):
                    raise result

    async def _end(self, ask_s: float, line: str = "") -> None:
        await self._child.end(ask_s=ask_s, terminate_s=self._patience.terminate_s, ask_line=line)

    async def _read_log(self) -> None:
        while data := await self._child.stderr.read(_READ_BYTES):
            self._log.feed(data)

    async def _read_events(self) -> str:
        """Until the stream ends; returns what is wrong with it, or nothing."""
        rest = b""
        while data := await self._child.stdout.read(_READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line)
            if len(rest) > MAX_EVENT_BYTES:
                return "a line without an end"
            if self._watch.flooding:
                return "a flood of events"
            if self._strange > self._patience.strange_lines:
                return "lines that are no events"
            await asyncio.sleep(0)  # others have their turn, even when the worker writes without pause
        return ""

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            state = self._watch.take(decode_state(line))
        except (WireFault, OutOfOrder) as fault:
            self._strange += 1
            self._log.add(f"[stdout] {line[:300].decode('utf-8', 'replace')} ({fault})")
            return
        if state is not None:
            self._tell(state)

    async def _watch_heart(self) -> str:
        """Returns why the worker counts as hung."""
        clock = asyncio.get_running_loop().time
        before = clock()
        while True:
            await asyncio.sleep(self._patience.tick_s)
            now = clock()
            reason = self._watch.tick(now - before)
            before = now
            if reason:
                return reason
