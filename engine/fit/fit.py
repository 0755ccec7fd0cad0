"""Whether a model fits into what is free now, and with which plan; if not, why not and what would.

Weights, cache and state are arithmetic on the header; the compute buffer is asked of llama.cpp itself, which also
checks the arithmetic. Blocking for about a second (one short-lived child), two more when nothing fits. Where things go
is ``placement.py``'s, how fast that is ``speed.py``'s, the words ``reasons.py``'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from engine.fit.budget import Budgets, budgets
from engine.fit.buffers import BufferSource, CacheRefused, EstimatedBuffers, Probe, ProbedBuffers
from engine.fit.calibration import calibrate
from engine.fit.case import USUAL_BATCH, Case
from engine.fit.contexts import Chord, largest_that
from engine.fit.experience import NO_EXPERIENCE, Experience
from engine.fit.facts import ModelFacts, facts_of
from engine.fit.footprint import CONTEXT_STEP, CacheShape, kv_bytes, recurrent_bytes, round_context
from engine.fit.measured import place_of
from engine.fit.placement import Layout, Placement
from engine.fit.plan import LoadMode, Misfit, Plan, Profile, Speed, Wish
from engine.fit.rates import MachineRates, machine_rates
from engine.fit.reasons import Circumstances, explain, explain_misfit
from engine.fit.speed import offload_threshold, speed_of
from engine.gguf.header import Header
from engine.gguf.split import read_model
from engine.hardware.profile import Machine
from engine.probe.client import measure_compute

LEAST_CONTEXT = 512
"""Tokens below which a chat makes no sense; nothing smaller is offered."""
COMFORTABLE_CONTEXT: dict[Profile, int] = {"chat": 8_192, "documents": 16_384}
"""Chosen whenever it fits and nobody asked for something else."""
LARGEST_AUTOMATIC_CONTEXT = 32_768
"""More than this is given only when asked for: prefill and cache grow with it, chats rarely do."""
AUTOMATIC_SHARE = 4
"""Above the comfortable context, cache and buffers may take a quarter of what the weights leave."""
AUTOMATIC_SLOWDOWN = 1.02
"""And they may drive no more of the weights from a card than this costs in time."""
QUANTISED_GAIN = 1.1
"""A cache in eight bits is chosen where f16 would fit if the model is so much quicker for it, because more of it is
then on a card."""
LARGE_BATCHES = (1_024, 2_048, 4_096)
"""Tried where weights in main memory are copied to a card for each batch, which costs nearly the same for any length,
and for documents."""

_SEQUENCE_LIMIT = 256
"""Source: ``LLAMA_MAX_SEQ`` in llama-cparams.h."""
_NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "afp", "webdav", "davfs", "fuse.sshfs", "sshfs", "9p", "ncp")


def fit(
    path: Path,
    wish: Wish,
    machine: Machine,
    *,
    reclaimable_bytes: int = 0,
    reclaimable_on_cards: Mapping[str, int] | None = None,
    rpc_endpoints: tuple[str, ...] = (),
    probe: Probe = measure_compute,
    experience: Experience = NO_EXPERIENCE,
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
        experience=experience,
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
    experience: Experience = NO_EXPERIENCE,
    described: bool = False,
) -> Plan | Misfit:
    """Find the plan that grants the wish now.

    Without a context in the wish, the largest sensible one is chosen: 8,192 tokens where they fit (fewer where they
    do not, more, up to 32,768, where cache and buffers take no more than a quarter of the free memory), and never
    more than the model was trained on. A model whose heads are too odd for a quantised cache gets one in f16; the
    plan says so. Sessions wished apart each get that context, unless the model's memory does not come in parts: then
    all share one and the plan says so. ``reclaimable_bytes`` is main memory that a worker which is about to end will
    give back. ``described``: of another machine, whose cards cannot be asked.
    Raises: ``ModelFileError`` when llama.cpp refuses the model.
    """
    facts = facts_of(header)
    memories = budgets(machine, reclaimable_bytes, reclaimable_on_cards)
    rates = machine_rates(machine, memories, _threads(wish, machine))
    buffers = ProbedBuffers(
        header,
        facts,
        memories,
        probe,
        rpc_endpoints=rpc_endpoints,
        described=described,
        n_expert_used=wish.n_expert_used,
        op_offload_tokens=offload_threshold(facts, rates, wish.n_expert_used),
        experience=experience,
    )
    return _fit(facts, wish, machine, memories, rates, buffers, experience)


def fit_facts(
    facts: ModelFacts, wish: Wish, machine: Machine, *, experience: Experience = NO_EXPERIENCE
) -> Plan | Misfit:
    """Fit a model of which no header was read, see :func:`fit_header`. Pure: nothing is asked of llama.cpp."""
    memories = budgets(machine)
    rates = machine_rates(machine, memories, _threads(wish, machine))
    return _fit(facts, wish, machine, memories, rates, EstimatedBuffers(facts, memories, experience), experience)


def count_sequences(sessions: int, *, recurrent: bool) -> int:
    """Sequences of a context for that many concurrent sessions.

    The spare ones remember prefixes: a finished conversation, or a system prompt that many share. They cost next to
    nothing where all sequences share the cache's cells, and a whole state each in recurrent models.
    """
    spare = 1 if recurrent else max(4, sessions)
    return min(_SEQUENCE_LIMIT, max(1, sessions) + spare)


def comes_in_parts(facts: ModelFacts) -> bool:
    """Whether sequences can have parts of the cache for themselves: only cells can be divided, not windows and states,
    and models of vectors keep none."""
    return not (facts.memory.recurrent or facts.memory.window or facts.whole_rows)


def choose_load_mode(path: Path, machine: Machine) -> LoadMode:
    """Map local files, which starts at once and shares pages; read files of the network, which may vanish under us."""
    holding = [disk for disk in machine.disks if path.resolve().is_relative_to(disk.path.resolve())]
    if not holding:
        return "mmap"
    nearest = max(holding, key=lambda disk: len(disk.path.resolve().parts))
    return "read" if nearest.file_system.lower().startswith(_NETWORK_FILE_SYSTEMS) else "mmap"


def _fit(
    facts: ModelFacts,
    wish: Wish,
    machine: Machine,
    memories: Budgets,
    rates: MachineRates,
    buffers: BufferSource,
    experience: Experience,
) -> Plan | Misfit:
    parts = wish.sessions if wish.apart and wish.sessions > 1 and comes_in_parts(facts) else 1
    shared = count_sequences(wish.sessions, recurrent=facts.memory.recurrent)
    case = Case(
        facts=facts,
        wish=wish,
        machine=machine,
        budgets=memories,
        rates=rates,
        n_seq_max=parts if parts > 1 else shared,
        n_ctx_most=round_context(facts.n_ctx_train),
        buffers=buffers,
        kv_type=wish.kv_type or "f16",
        n_parts=parts,
    )
    second_best: list[Plan] = []
    misfits: list[Misfit] = []
    for attempt in _attempts(_with_batch(case)):
        try:
            answer = _answer(attempt, experience)
        except CacheRefused:
            if wish.kv_type is not None:
                return _answer(case.other(kv_type="f16"), experience)
            continue
        if isinstance(answer, Misfit):
            misfits.append(answer)
        elif answer.n_ctx_each >= _wanted(attempt):
            return answer
        else:
            second_best.append(answer)
    if second_best:
        return max(second_best, key=lambda plan: plan.n_ctx)
    return max(misfits, key=lambda misfit: misfit.offered_n_ctx or 0)


def _attempts(case: Case) -> Iterator[Case]:
    """The cache as wished; else in f16, unless eight bits make the model much quicker; then the other."""
    if case.wish.kv_type is not None:
        yield case
        return
    quantised = _with_batch(case.other(kv_type="q8_0", kv_reason="in f16 it would not fit"))
    n_ctx = _wanted(case)
    if case.budgets.cards and _estimated_s(case, n_ctx) > _estimated_s(quantised, n_ctx) * QUANTISED_GAIN:
        plain = _leaves_weights_in_ram(case, n_ctx)
        reason = "in f16 it would drive more of the model from the card" if plain else "in f16 it would not fit"
        yield quantised.other(kv_reason=reason)
        yield case
    else:
        yield case
        yield quantised


def _threads(wish: Wish, machine: Machine) -> int:
    return wish.threads or machine.processor.usable_threads


def _wanted(case: Case) -> int:
    """The context to try first; a smaller one is second best."""
    if case.wish.n_ctx:
        return max(CONTEXT_STEP, round_context(min(case.wish.n_ctx, case.n_ctx_most)))
    return max(CONTEXT_STEP, min(case.n_ctx_most, COMFORTABLE_CONTEXT[case.wish.profile]))


def _with_batch(case: Case) -> Case:
    """The micro-batch that makes the plan's task quickest, by estimated buffers."""
    if case.wish.n_ubatch is not None:
        return case.other(n_ubatch=case.wish.n_ubatch)
    if case.facts.whole_rows:
        return case.other(n_ubatch=case.facts.whole_rows)
    usual = case.other(n_ubatch=USUAL_BATCH)
    if not case.budgets.cards:
        return usual
    n_ctx = _wanted(case)
    best, best_s = usual, _estimated_s(usual, n_ctx)
    if case.wish.profile == "chat" and not _leaves_weights_in_ram(usual, n_ctx):
        return usual
    for n_ubatch in LARGE_BATCHES:
        larger = case.other(n_ubatch=n_ubatch)
        seconds = _estimated_s(larger, n_ctx)
        if seconds < best_s:
            best, best_s = larger, seconds
    return best


def _estimated_s(case: Case, n_ctx: int) -> float:
    shape = case.shape(n_ctx)
    placement = case.place(shape, case.buffers.estimate(shape))
    return case.pace(shape).seconds(placement.step) if placement.fits else float("inf")


def _leaves_weights_in_ram(case: Case, n_ctx: int) -> bool:
    shape = case.shape(n_ctx)
    choice = case.place(shape, case.buffers.estimate(shape)).choice
    return bool(choice.experts_in_ram) or 0 < choice.n_gpu_layers <= case.facts.n_layer


def _answer(case: Case, experience: Experience) -> Plan | Misfit:
    wish = case.wish
    wanted = _wanted(case) if wish.n_ctx else _automatic_context(case)
    placement = _place_measured(case, wanted)
    if placement.fits:
        return _plan(case, wanted, placement, experience)
    largest = _largest_context(case, wanted)
    if wish.n_ctx is None and largest is not None:
        placement = _place_measured(case, largest)
        if placement.fits:
            return _plan(case, largest, placement, experience)
    if wish.n_ctx is None and largest is None:
        # Nobody asked for the context that was tried; what counts is that even the least does not fit.
        wanted = min(wanted, LEAST_CONTEXT)
        placement = _place_measured(case, wanted)
    return explain_misfit(case.facts, wanted, placement, largest, LEAST_CONTEXT, n_parts=case.n_parts)


def _automatic_context(case: Case) -> int:
    share = max(0, case.budgets.usable_bytes - case.facts.weights.total) // AUTOMATIC_SHARE
    most = min(case.n_ctx_most, LARGEST_AUTOMATIC_CONTEXT)
    comfortable = _wanted(case)
    limit_s = _estimated_s(case, comfortable) * AUTOMATIC_SLOWDOWN if case.budgets.cards else 0.0

    def cheap(n_ctx: int) -> bool:
        shape = case.shape(n_ctx)
        compute = case.buffers.estimate(shape)
        cache = kv_bytes(case.facts.memory, shape) + recurrent_bytes(case.facts.memory, shape)
        if cache + compute.host_bytes + sum(compute.cards) > share:
            return False
        return not limit_s or _estimated_s(case, n_ctx) <= limit_s

    return largest_that(cheap, comfortable, most) or comfortable


def _place_measured(case: Case, n_ctx: int) -> Placement:
    """Place with an estimate, ask llama.cpp for the buffers of that placement, and place again until both agree."""
    shape = case.shape(n_ctx)
    choice = case.place(shape, case.buffers.estimate(shape)).choice
    best: Placement | None = None
    for _ in range(4):
        layout = case.layout(shape, case.buffers.measure(shape, choice))
        measured = layout.lay_out(choice)
        if best is None or (measured.fits, -_seconds(case, shape, measured)) > (
            best.fits,
            -_seconds(case, shape, best),
        ):
            best = measured
        again = layout.place(case.wish.experts_in_ram).choice
        if again == choice:
            return best
        choice = again
    return best or case.place(shape, case.buffers.estimate(shape))


def _seconds(case: Case, shape: CacheShape, placement: Placement) -> float:
    return case.pace(shape).seconds(placement.step)


def _largest_context(case: Case, too_large: int) -> int | None:
    """The largest context below ``too_large`` that fits, by arithmetic between two measured compute buffers.

    The buffer grows with the context as a maximum of straight lines, so the chord between two points is never below
    it: what fits by the chord fits. Measuring again where the chord ends moves it closer to the truth.
    """
    if too_large <= LEAST_CONTEXT:
        return None
    least = case.shape(LEAST_CONTEXT)
    choice = case.place(least, case.buffers.estimate(least)).choice
    large = case.buffers.measure(case.shape(too_large), choice)
    largest: int | None = None
    for _ in range(2):
        start = largest or LEAST_CONTEXT
        chord = Chord(start, case.buffers.measure(case.shape(start), choice), too_large, large)
        found = largest_that(partial(_fits, case, chord), start, too_large - CONTEXT_STEP)
        if found is None or found == largest:
            break
        largest = found
    return largest


def _fits(case: Case, chord: Chord, n_ctx: int) -> bool:
    return case.place(case.shape(n_ctx), chord.at(n_ctx)).fits


def _plan(case: Case, n_ctx: int, placement: Placement, experience: Experience) -> Plan:
    shape, choice, wish = case.shape(n_ctx), placement.choice, case.wish
    counts = tuple(count for _, count in choice.cards)
    apart = bool(choice.experts_in_ram) or 0 < choice.n_gpu_layers <= case.facts.n_layer
    copies = apart and not case.budgets.shared
    plan = Plan(
        model_path=case.facts.path,
        model_name=case.facts.name,
        n_ctx=shape.n_ctx,
        n_ctx_train=case.facts.n_ctx_train,
        n_seq_max=case.n_seq_max,
        n_batch=shape.n_ubatch,
        n_ubatch=shape.n_ubatch,
        n_outputs_max=shape.n_outputs_max,
        kv_type=case.kv_type,
        n_gpu_layers=choice.n_gpu_layers,
        load_mode="read" if copies or case.buffers.repacks else choose_load_mode(case.facts.path, case.machine),
        threads=_threads(wish, case.machine),
        devices=placement.devices,
        layers_per_card=counts if len(counts) > 1 else (),
        experts_in_ram=choice.experts_in_ram,
        n_expert_used=wish.n_expert_used,
        op_offload_tokens=offload_threshold(case.facts, case.rates, wish.n_expert_used) if copies else None,
        kv_unified=shape.kv_unified,
    )
    speed = calibrate(_speed(case, shape, placement), case.facts.path.name, place_of(plan), experience)
    together = case.pace(shape)
    around = Circumstances(case.facts, case.budgets, case.rates, wish, together, placement.step, case.kv_reason)
    return replace(plan, speed=speed, reasons=explain(replace(plan, speed=speed), around))


def _speed(case: Case, shape: CacheShape, placement: Placement) -> Speed:
    """Of one session, without any correction."""
    pace = case.pace_alone(shape)
    layout = Layout(case.facts, shape, case.budgets, case.buffers.estimate(shape), pace)
    timed = case.rates.host.cores is not None and not placement.choice.cards
    return speed_of(layout.lay_out(placement.choice).step, pace.batch_tokens, kernels=timed)
