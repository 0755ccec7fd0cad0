"""Whether a model fits into what is free now, and with which plan; if not, why not and what would.

Weights, cache and state are arithmetic on the header; the compute buffer is asked of llama.cpp itself, which also
checks the arithmetic. Blocking for about a second (one short-lived child), two more when nothing fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from engine.fit.budget import Budgets, budgets
from engine.fit.buffers import Buffers, CacheRefused, Probe
from engine.fit.footprint import (
    CONTEXT_STEP,
    CacheShape,
    group_weights,
    kv_bytes,
    recurrent_bytes,
    round_context,
)
from engine.fit.layers import describe_memory
from engine.fit.placement import Compute, Model, Placement, place, place_layers
from engine.fit.plan import LoadMode, Misfit, Plan, Wish
from engine.gguf.header import Header
from engine.gguf.split import display_name, read_model
from engine.hardware.profile import Machine
from engine.probe.client import measure_compute

LEAST_CONTEXT = 512
"""Tokens below which a chat makes no sense; nothing smaller is offered."""
COMFORTABLE_CONTEXT = 8_192
"""Chosen whenever it fits and nobody asked for something else."""
LARGEST_AUTOMATIC_CONTEXT = 32_768
"""More than this is given only when asked for: prefill and cache grow with it, chats rarely do."""
AUTOMATIC_SHARE = 4
"""Above the comfortable context, cache and buffers may take a quarter of what the weights leave."""

_SEQUENCE_LIMIT = 256
"""Source: ``LLAMA_MAX_SEQ`` in llama-cparams.h."""
_NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "afp", "webdav", "davfs", "fuse.sshfs", "sshfs", "9p", "ncp")


@dataclass(frozen=True, slots=True)
class _Case:
    """One question of fitting, with everything that does not change while contexts are tried."""

    header: Header
    model: Model
    wish: Wish
    budgets: Budgets
    n_seq_max: int
    n_ctx_most: int
    buffers: Buffers

    def shape(self, n_ctx: int) -> CacheShape:
        return CacheShape(n_ctx, self.n_seq_max, min(n_ctx, self.wish.n_ubatch), self.wish.kv_type)


def fit(
    path: Path,
    wish: Wish,
    machine: Machine,
    *,
    reclaimable_bytes: int = 0,
    reclaimable_on_cards: Mapping[str, int] | None = None,
    rpc_endpoints: tuple[str, ...] = (),
    probe: Probe = measure_compute,
) -> Plan | Misfit:
    """Read the model's header and fit it, see :func:`fit_header`. Raises: ``ModelFileError``."""
    return fit_header(
        read_model(path),
        wish,
        machine,
        reclaimable_bytes=reclaimable_bytes,
        reclaimable_on_cards=reclaimable_on_cards,
        rpc_endpoints=rpc_endpoints,
        probe=probe,
    )


def fit_header(
    header: Header,
    wish: Wish,
    machine: Machine,
    *,
    reclaimable_bytes: int = 0,
    reclaimable_on_cards: Mapping[str, int] | None = None,
    rpc_endpoints: tuple[str, ...] = (),
    probe: Probe = measure_compute,
) -> Plan | Misfit:
    """Find the plan that grants the wish now.

    Without a context in the wish, the largest sensible one is chosen: 8,192 tokens where they fit (fewer where they
    do not, more, up to 32,768, where cache and buffers take no more than a quarter of the free memory), and never
    more than the model was trained on. A model whose heads are too odd for a quantised cache gets one in f16; the
    plan says so. ``reclaimable_bytes`` is main memory that a worker which is about to end will
    give back. Raises: ``ModelFileError`` when llama.cpp refuses the model.
    """
    memories = budgets(machine, reclaimable_bytes, reclaimable_on_cards)
    try:
        return _answer(_open_case(header, wish, memories, rpc_endpoints, probe), machine)
    except CacheRefused:
        plain = replace(wish, kv_type="f16")
        return _answer(_open_case(header, plain, memories, rpc_endpoints, probe), machine)


def _open_case(
    header: Header,
    wish: Wish,
    memories: Budgets,
    rpc_endpoints: tuple[str, ...],
    probe: Probe,
) -> _Case:
    model = Model(group_weights(header), describe_memory(header))
    return _Case(
        header=header,
        model=model,
        wish=wish,
        budgets=memories,
        n_seq_max=count_sequences(wish.sessions, recurrent=model.memory.recurrent),
        n_ctx_most=round_context(header.n_ctx_train),
        buffers=Buffers(header, model.memory, memories.card, rpc_endpoints, probe),
    )


def _answer(case: _Case, machine: Machine) -> Plan | Misfit:
    wish = case.wish
    wanted = round_context(min(wish.n_ctx, case.n_ctx_most)) if wish.n_ctx else _automatic_context(case)
    wanted = max(wanted, CONTEXT_STEP)
    placement = _place_measured(case, wanted)
    if placement.missing_bytes == 0:
        return _plan(case, machine, wanted, placement)
    largest = _largest_context(case, wanted)
    if wish.n_ctx is None and largest is not None:
        placement = _place_measured(case, largest)
        if placement.missing_bytes == 0:
            return _plan(case, machine, largest, placement)
    if wish.n_ctx is None and largest is None:
        # Nobody asked for the context that was tried; what counts is that even the least does not fit.
        wanted = min(wanted, LEAST_CONTEXT)
        placement = _place_measured(case, wanted)
    return _misfit(case, wanted, placement, largest)


def count_sequences(sessions: int, *, recurrent: bool) -> int:
    """Sequences of a context for that many concurrent sessions.

    The spare ones remember prefixes: a finished conversation, or a system prompt that many share. They cost next to
    nothing where all sequences share the cache's cells, and a whole state each in recurrent models.
    """
    spare = 1 if recurrent else max(4, sessions)
    return min(_SEQUENCE_LIMIT, max(1, sessions) + spare)


def _automatic_context(case: _Case) -> int:
    weights = case.model.weights.total
    free = case.budgets.host.usable_bytes + (case.budgets.card.usable_bytes if case.budgets.card else 0)
    share = max(0, free - weights) // AUTOMATIC_SHARE
    most = min(case.n_ctx_most, LARGEST_AUTOMATIC_CONTEXT)
    comfortable = min(case.n_ctx_most, COMFORTABLE_CONTEXT)

    def cheap(n_ctx: int) -> bool:
        shape = case.shape(n_ctx)
        compute = case.buffers.estimate(case.shape(n_ctx))
        cache = kv_bytes(case.model.memory, shape) + recurrent_bytes(case.model.memory, shape)
        return cache + compute.host_bytes + compute.device_bytes <= share

    return _largest_that(cheap, comfortable, most) or comfortable


def _largest_that(holds: Callable[[int], bool], least: int, most: int) -> int | None:
    """The largest multiple of 256 from ``least`` to ``most`` for which a falling condition holds."""
    low, high = -(-least // CONTEXT_STEP), most // CONTEXT_STEP
    if low > high or not holds(low * CONTEXT_STEP):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle * CONTEXT_STEP):
            low = middle
        else:
            high = middle - 1
    return low * CONTEXT_STEP


def _place_measured(case: _Case, n_ctx: int) -> Placement:
    """Place with an estimate, ask llama.cpp for the buffers of that placement, and place again until both agree."""
    shape = case.shape(n_ctx)
    n_gpu_layers = place(case.model, shape, case.budgets, case.buffers.estimate(case.shape(n_ctx))).n_gpu_layers
    best: Placement | None = None
    for _ in range(4):
        compute = case.buffers.measure(case.shape(n_ctx), n_gpu_layers)
        measured = place_layers(case.model, shape, case.budgets, compute, n_gpu_layers)
        if measured.missing_bytes == 0 or measured.short_of is case.budgets.host:
            best = measured
        again = place(case.model, shape, case.budgets, compute).n_gpu_layers
        if best is not None and again <= best.n_gpu_layers:
            return best
        n_gpu_layers = again
    return best or place_layers(case.model, shape, case.budgets, case.buffers.measure(shape, 0), 0)


def _largest_context(case: _Case, too_large: int) -> int | None:
    """The largest context below ``too_large`` that fits, by arithmetic between two measured compute buffers.

    The buffer grows with the context as a maximum of straight lines, so the chord between two points is never below
    it: what fits by the chord fits. Measuring again where the chord ends moves it closer to the truth.
    """
    if too_large <= LEAST_CONTEXT:
        return None
    estimate = case.buffers.estimate(case.shape(LEAST_CONTEXT))
    n_gpu_layers = place(case.model, case.shape(LEAST_CONTEXT), case.budgets, estimate).n_gpu_layers
    large = case.buffers.measure(case.shape(too_large), n_gpu_layers)
    largest: int | None = None
    for _ in range(2):
        start = largest or LEAST_CONTEXT
        chord = _Chord(start, case.buffers.measure(case.shape(start), n_gpu_layers), too_large, large)
        found = _largest_that(partial(_fits, case, chord), start, too_large - CONTEXT_STEP)
        if found is None or found == largest:
            break
        largest = found
    return largest


@dataclass(frozen=True, slots=True)
class _Chord:
    """Compute buffers between two measured contexts, never below the truth."""

    start: int
    small: Compute
    end: int
    large: Compute

    def at(self, n_ctx: int) -> Compute:
        ratio = (n_ctx - self.start) / (self.end - self.start)

        def between(low: int, high: int) -> int:
            return low + max(0, round((high - low) * ratio))

        return Compute(
            between(self.small.host_bytes, self.large.host_bytes),
            between(self.small.device_bytes, self.large.device_bytes),
            between(self.small.unknown_kv_bytes, self.large.unknown_kv_bytes),
            between(self.small.unknown_recurrent_bytes, self.large.unknown_recurrent_bytes),
        )


def _fits(case: _Case, chord: _Chord, n_ctx: int) -> bool:
    return place(case.model, case.shape(n_ctx), case.budgets, chord.at(n_ctx)).missing_bytes == 0


def _plan(case: _Case, machine: Machine, n_ctx: int, placement: Placement) -> Plan:
    shape = case.shape(n_ctx)
    return Plan(
        model_path=case.header.path,
        model_name=display_name(case.header),
        n_ctx=n_ctx,
        n_ctx_train=case.header.n_ctx_train,
        n_seq_max=case.n_seq_max,
        n_batch=shape.n_ubatch,
        n_ubatch=shape.n_ubatch,
        n_outputs_max=case.n_seq_max,
        kv_type=case.wish.kv_type,
        n_gpu_layers=placement.n_gpu_layers,
        load_mode=choose_load_mode(case.header.path, machine),
        threads=case.wish.threads or machine.processor.usable_threads,
        devices=placement.devices,
    )


def choose_load_mode(path: Path, machine: Machine) -> LoadMode:
    """Map local files, which starts at once and shares pages; read files of the network, which may vanish under us."""
    holding = [disk for disk in machine.disks if path.resolve().is_relative_to(disk.path.resolve())]
    if not holding:
        return "mmap"
    nearest = max(holding, key=lambda disk: len(disk.path.resolve().parts))
    return "read" if nearest.file_system.lower().startswith(_NETWORK_FILE_SYSTEMS) else "mmap"


def _misfit(case: _Case, n_ctx: int, placement: Placement, offered: int | None) -> Misfit:
    budget = placement.short_of
    usable = budget.usable_bytes
    where = "main memory" if budget is case.budgets.host else f"the memory of {budget.name}"
    sentence = (
        f"{display_name(case.header)} with a context of {n_ctx:,} tokens needs {_size(placement.needed_bytes)} "
        f"of {where}. "
        f"{_size(budget.free_bytes)} are free, of which {_size(min(budget.reserve_bytes, budget.free_bytes))} stay "
        f"with the system, so {_size(placement.missing_bytes)} are missing."
    )
    if offered is not None:
        hint = f"A context of {offered:,} tokens fits."
    else:
        hint = (
            f"Not even a context of {LEAST_CONTEXT:,} tokens fits: close other programs, or choose a smaller model or "
            "a smaller quantization of this one."
        )
    return Misfit(sentence, hint, placement.needed_bytes, usable, offered)


def _size(size_bytes: int) -> str:
    if size_bytes >= 1_000_000_000:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB"
