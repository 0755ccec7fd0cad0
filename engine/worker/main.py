"""The worker process: loads one model by plan and serves it until the parent says stop or is gone.

Order of things: tie to the parent, read the weights in a thread as soon as the bindings are there, import everything
else meanwhile, warm up, listen, report ready. The protocol with the parent is in ``lifeline.py`` and ``wire.py``.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from engine.errors import GatehouseError, WorkerError
from engine.worker.lifeline import ParentGone, Reporter, bind_to_parent, listen_to_parent, read_spec_line
from engine.worker.spec import Alive, Failed, Loading, Ready, Starting, Stopped, WorkerSpec
from engine.worker.wire import WireFault, decode_spec

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from engine.llama.context import Context
    from engine.llama.embedder import Embedder
    from engine.llama.model import Model
    from engine.llama.template import ChatTemplate
    from engine.serving.http.frontend import Offer

_HEARTBEAT_S: Final = 1.0
_PROGRESS_STEP: Final = 0.02
_STOP_TIMEOUT_S: Final = 2.0
_SWITCH_INTERVAL_S: Final = 0.0005
"""How long the HTTP thread may keep the interpreter from the engine's thread once that has a result."""
_LOADING_INTERVAL_S: Final = 0.0001
"""The same while weights are read: llama.cpp tells of its progress with each of some hundred tensors."""
_MAX_LOG_LINES: Final = 2000
_MAY_LACK_MEMORY: Final = frozenset({"load_failed", "context_failed", "warm_up_failed", "decode_failed"})


@dataclass(slots=True)
class _Writer:
    """A model that writes, ready to be served."""

    model: Model
    context: Context
    template: ChatTemplate


@dataclass(slots=True)
class _Pooler:
    """A model that makes vectors or scores, ready to be served."""

    model: Model
    context: Embedder


@dataclass(slots=True)
class _Loaded:
    hosted: _Writer | _Pooler
    load_s: float

    def close(self) -> None:
        if isinstance(self.hosted, _Writer):
            self.hosted.template.close()
        self.hosted.context.close()
        self.hosted.model.close()


class _Engine(Protocol):
    """What both kinds of engine are to the process around them."""

    steps: int

    @property
    def busy(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self, timeout_s: float) -> bool: ...


class _Api(Protocol):
    """What both kinds of HTTP side are."""

    def application(self, *, api_keys: tuple[str, ...], host: str) -> Starlette: ...
    def close(self) -> None: ...


class _Stop(Exception):
    """The parent asked for the end while the model was loading."""


class Worker:
    """One worker's life, from spec to end."""

    def __init__(self, spec: WorkerSpec, reporter: Reporter) -> None:
        self._spec = spec
        self._reporter = reporter
        self._stopping = threading.Event()
        self._reading = threading.Event()
        """llama.cpp reads the weights, or nothing came of it."""
        self._wake: Callable[[], object] | None = None
        self._log_lines: list[str] = []
        self._reported_ratio = -1.0
        self._broken: WorkerError | None = None
        self._free_before: dict[str, int] = {}

    def run(self) -> int:
        """Load and serve; returns the exit code."""
        listen_to_parent(self.stop)
        try:
            loaded = self._load_while_importing()
        except _Stop:
            self._reporter.tell(Stopped())
            return 0
        try:
            return self._serve(loaded)
        finally:
            loaded.close()

    def stop(self) -> None:
        """End soon. Any thread."""
        self._stopping.set()
        wake = self._wake
        if wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                wake()

    def failure(self, error: GatehouseError) -> Failed:
        """What to tell after :meth:`run` raised. When llama.cpp refused, what is free now tells whether for memory."""
        free: tuple[tuple[str, int], ...] = ()
        if error.code in _MAY_LACK_MEMORY:
            from engine.llama.devices import free_bytes

            free = free_bytes([device.name for device in self._spec.plan.devices])
        return Failed(error.code, error.sentence, error.hint, "", free)

    # Loading

    def _load_while_importing(self) -> _Loaded:
        from engine.llama.lean import skip_high_level

        skip_high_level()
        sys.setswitchinterval(_LOADING_INTERVAL_S)
        results: list[_Loaded | BaseException] = []

        def load() -> None:
            try:
                results.append(self._load())
            except BaseException as error:  # noqa: BLE001  handed to the main thread, which raises it
                results.append(error)
            finally:
                self._reading.set()

        thread = threading.Thread(target=load, name="load")
        thread.start()
        self._reading.wait()  # importing at once would only keep the bindings from being imported
        import engine.llama.context
        import engine.serving.http.api
        import engine.serving.http.server
        import engine.worker.allowance  # noqa: F401  all of these for the wait's sake

        thread.join()
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    def _load(self) -> _Loaded:
        from llama_cpp import llama_cpp as native

        from engine.llama import bindings
        from engine.llama.devices import free_bytes
        from engine.llama.model import LoadCancelled, Model
        from engine.llama.parameters import set_op_offload

        began = time.perf_counter()
        set_op_offload(self._spec.plan.op_offload_tokens)
        bindings.install_log(self._log)
        native.llama_backend_init()
        for endpoint in self._spec.rpc_endpoints:
            bindings.add_rpc_server(endpoint)
        self._free_before = dict(free_bytes([device.name for device in self._spec.plan.devices]))
        self._reading.set()
        try:
            model = Model.load(self._spec.plan, self._progress)
        except LoadCancelled as error:
            raise _Stop from error
        try:
            return _Loaded(self._prepare(model), time.perf_counter() - began)
        except BaseException:
            model.close()
            raise

    def _prepare(self, model: Model) -> _Writer | _Pooler:
        """A context of the kind the model needs, and its first computation."""
        from engine.llama.context import Context
        from engine.llama.embedder import Embedder
        from engine.llama.pooling import find_pooling
        from engine.llama.template import ChatTemplate

        vocabulary = model.vocabulary
        first = vocabulary.bos if vocabulary.bos >= 0 else 0
        pooling = find_pooling(model)
        if pooling is not None:
            embedder = Embedder(model, self._spec.plan, pooling)
            embedder.warm_up(first)
            return _Pooler(model, embedder)
        context = Context(model, self._spec.plan)
        context.warm_up(first)
        bos, eos = vocabulary.spelling(vocabulary.bos), vocabulary.spelling(vocabulary.eos)
        template = ChatTemplate(model.chat_template(), bos=bos, eos=eos)
        template.start()
        return _Writer(model, context, template)

    def _log(self, level: int, line: str) -> None:
        if len(self._log_lines) < _MAX_LOG_LINES:
            self._log_lines.append(line)
        os.write(2, f"{line}\n".encode("utf-8", "replace"))

    def _progress(self, ratio: float) -> bool:
        if ratio - self._reported_ratio >= _PROGRESS_STEP or ratio >= 1.0 > self._reported_ratio:
            self._reported_ratio = ratio
            self._reporter.mention(Loading(min(1.0, max(0.0, ratio))))
        return not self._stopping.is_set()

    # Serving

    def _serve(self, loaded: _Loaded) -> int:
        import asyncio

        from engine.serving.http.server import listen

        listening = listen(self._spec.host, self._spec.port)
        try:
            asyncio.run(self._serve_async(loaded, listening))
        finally:
            listening.close()
        if self._broken is not None:
            raise self._broken
        self._reporter.tell(Stopped())
        return 0

    async def _serve_async(self, loaded: _Loaded, listening: socket.socket) -> None:
        import asyncio

        hosted = loaded.hosted
        api, engine = self._host_writer(hosted) if isinstance(hosted, _Writer) else self._host_pooler(hosted)
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        engine.start()
        try:
            await self._accept(api, engine, loaded, listening)
        finally:
            api.close()
            if not await asyncio.to_thread(engine.stop, _STOP_TIMEOUT_S):
                os._exit(1)  # it hangs in native code; freeing memory under it would only add a crash

    def _host_writer(self, writer: _Writer) -> tuple[_Api, _Engine]:
        import asyncio

        from engine.serving.engine import Engine
        from engine.serving.expert_watch import ExpertWatch
        from engine.serving.http.api import Api
        from engine.serving.http.mailbox import poster
        from engine.serving.kept.binding import make_lane

        model = writer.model
        post = poster(asyncio.get_running_loop())
        lane = make_lane(self._spec.kept_states, self._spec.plan)
        engine = Engine(model, writer.context, post=post, on_broken=self._on_broken, kept=lane)
        watch = ExpertWatch(model, writer.context, self._spec.plan.n_expert_used)
        if self._spec.watch_experts:
            watch.begin()
        return Api(self._offer(writer), engine, model.vocabulary, writer.template, watch), engine

    def _host_pooler(self, pooler: _Pooler) -> tuple[_Api, _Engine]:
        from engine.serving.vectors.api import EmbeddingApi, EmbeddingOffer
        from engine.serving.vectors.engine import EmbeddingEngine

        model, embedder = pooler.model, pooler.context
        engine = EmbeddingEngine(embedder, on_broken=self._on_broken)
        offer = EmbeddingOffer(
            model_id=self._spec.model_id,
            n_parameters=model.n_parameters,
            size_bytes=model.size_bytes,
            n_ctx_train=model.n_ctx_train,
            queue_limit=self._spec.queue_limit,
            pooling=embedder.pooling,
            width=embedder.width,
            rerank_template=model.metadata("tokenizer.chat_template.rerank"),
        )
        return EmbeddingApi(offer, engine, model.vocabulary), engine

    async def _accept(self, api: _Api, engine: _Engine, loaded: _Loaded, listening: socket.socket) -> None:
        """Answer requests until :meth:`stop`."""
        import asyncio

        from engine.llama.buffers import parse_buffers
        from engine.llama.devices import buffer_owners, free_bytes
        from engine.serving.http.server import Server, address_of
        from engine.worker.allowance import beyond_reported, read_resident

        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(told.set)
        if self._stopping.is_set():
            told.set()
        server = Server(api.application(api_keys=self._spec.api_keys, host=self._spec.host))
        address = address_of(listening)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await server.listening.wait()
        if serving.done():
            await serving  # for what it raises
        plan = self._spec.plan
        buffers = parse_buffers(self._log_lines, buffer_owners())
        after = free_bytes([device.name for device in plan.devices])
        allowances = beyond_reported(plan, buffers, self._free_before, dict(after), read_resident(plan.model_path))
        self._reporter.tell(Ready(os.getpid(), address, round(loaded.load_s, 3), buffers, allowances))
        beating = asyncio.create_task(self._beat(engine))
        try:
            await told.wait()
        finally:
            self._wake = None
            beating.cancel()
            await asyncio.to_thread(engine.stop, _STOP_TIMEOUT_S)  # open answers end with it
            server.should_exit = True
            await asyncio.gather(serving, beating, return_exceptions=True)

    async def _beat(self, engine: _Engine) -> None:
        import asyncio

        while True:
            self._reporter.mention(Alive(engine.busy, engine.steps))
            await asyncio.sleep(_HEARTBEAT_S)

    def _on_broken(self, error: WorkerError) -> None:
        self._broken = error
        self.stop()

    def _offer(self, writer: _Writer) -> Offer:
        from llama_cpp import llama_cpp as native

        from engine.serving.http.frontend import Offer
        from engine.serving.openai.wire_options import defaults_from_metadata

        model = writer.model
        names = ("temp", "top_k", "top_p", "min_p")
        version = native.llama_version()
        return Offer(
            model_id=self._spec.model_id,
            n_parameters=model.n_parameters,
            size_bytes=model.size_bytes,
            n_ctx_train=model.n_ctx_train,
            n_slots=writer.context.n_seq_max,
            queue_limit=self._spec.queue_limit,
            fingerprint=f"llama.cpp-{version.decode()}",
            defaults=defaults_from_metadata({name: model.metadata(f"general.sampling.{name}") for name in names}),
        )


def main() -> int:
    """Run a worker by the specification on standard input; returns the exit code."""
    os.environ["GGML_NO_BACKTRACE"] = "1"  # a crash must end the process, not start a debugger
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in a terminal reaches us too; the parent decides
    reporter = Reporter()
    try:
        try:
            spec = decode_spec(read_spec_line())
            bind_to_parent(spec.parent_pid)
        except ParentGone:
            return 0
        except WireFault as error:
            reporter.tell(Failed("bad_spec", str(error), "", ""))
            return 2
        reporter.tell(Starting(os.getpid()))
        worker = Worker(spec, reporter)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        try:
            return worker.run()
        except GatehouseError as error:
            reporter.tell(worker.failure(error))
            return 1
    finally:
        reporter.close()
