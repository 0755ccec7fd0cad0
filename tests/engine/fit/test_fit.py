"""The planner's decisions, with a probe whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import ModelFileError, ProbeFailed
from engine.fit.budget import budgets, host_budget
from engine.fit.fit import LEAST_CONTEXT, choose_load_mode, count_sequences, fit, fit_header
from engine.fit.footprint import CacheShape, kv_bytes
from engine.fit.layers import describe_memory
from engine.fit.plan import Misfit, Plan, Wish
from engine.gguf.header import Header
from engine.gguf.split import read_model
from engine.hardware.profile import DeviceKind, Memory
from engine.probe.records import ComputeAnswer, ComputeQuestion
from tests.engine.fit.machines import GIB, MIB, card, disk, machine


class FakeProbe:
    """Answers like llama.cpp for the starter: a fixed part, and a mask that grows with the context."""

    def __init__(self, header: Header, *, extra_kv_bytes: int = 0) -> None:
        self.asked: list[ComputeQuestion] = []
        self._memory = describe_memory(header)
        self._extra_kv_bytes = extra_kv_bytes

    def __call__(self, question: ComputeQuestion) -> ComputeAnswer:
        self.asked.append(question)
        size = self.compute_bytes(question.n_ctx)
        compute = [("CPU", size)] if question.device is None else [(question.device, size), ("CUDA_Host", 2 * MIB)]
        shape = CacheShape(question.n_ctx, question.n_seq_max, question.n_ubatch, question.kv_type)
        return ComputeAnswer(
            compute=tuple(compute),
            output_bytes=MIB,
            kv_bytes=kv_bytes(self._memory, shape) + self._extra_kv_bytes,
            recurrent_bytes=0,
            splits=1,
            n_ctx=question.n_ctx,
        )

    @staticmethod
    def compute_bytes(n_ctx: int) -> int:
        return max(14 * MIB, 10 * MIB + n_ctx * 1_500)


@pytest.fixture(scope="module")
def header(starter: Path) -> Header:
    return read_model(starter)


@pytest.fixture
def probe(header: Header) -> FakeProbe:
    return FakeProbe(header)


def test_plan_says_everything_the_worker_needs(header: Header, probe: FakeProbe) -> None:
    plan = fit_header(header, Wish(n_ctx=3_000, sessions=2, kv_type="q8_0"), machine(8 * GIB), probe=probe)
    assert isinstance(plan, Plan)
    assert plan.model_path == header.path
    assert plan.model_name == "SmolLM2 135M Instruct"
    assert plan.n_ctx == 3_072
    assert plan.n_ctx_train == 8_192
    assert plan.n_seq_max == plan.n_outputs_max == 6
    assert plan.n_batch == plan.n_ubatch == 512
    assert plan.kv_type == "q8_0"
    assert plan.n_gpu_layers == 0
    assert plan.threads == 4
    assert plan.load_mode == "mmap"
    (host,) = plan.devices
    assert host.weights_bytes == header.weights_bytes
    assert host.kv_bytes == 30 * 3_072 * 2 * 192 // 32 * 34
    assert host.compute_bytes == FakeProbe.compute_bytes(3_072) + MIB
    assert host.free_bytes == 8 * GIB


def test_probe_is_asked_exactly_what_is_planned(header: Header, probe: FakeProbe) -> None:
    plan = fit_header(header, Wish(), machine(8 * GIB), probe=probe)
    assert isinstance(plan, Plan)
    (question,) = probe.asked
    assert (question.n_ctx, question.n_ubatch, question.n_seq_max, question.n_outputs_max) == (
        plan.n_ctx,
        plan.n_ubatch,
        plan.n_seq_max,
        plan.n_outputs_max,
    )
    assert question.device is None
    assert question.n_gpu_layers == 0


def test_wish_is_granted_up_to_what_the_model_was_trained_on(header: Header, probe: FakeProbe) -> None:
    plan = fit_header(header, Wish(n_ctx=100_000), machine(8 * GIB), probe=probe)
    assert isinstance(plan, Plan)
    assert plan.n_ctx == 8_192


def test_threads_of_the_wish_win(header: Header, probe: FakeProbe) -> None:
    plan = fit_header(header, Wish(threads=3), machine(8 * GIB), probe=probe)
    assert isinstance(plan, Plan)
    assert plan.threads == 3


def _needed(header: Header, n_ctx: int, *, kv_factor: int = 1) -> int:
    shape = CacheShape(n_ctx, 8, 512, "f16")
    cache = kv_bytes(describe_memory(header), shape) * kv_factor
    return header.weights_bytes + cache + FakeProbe.compute_bytes(n_ctx) + MIB


def test_misfit_names_the_numbers_and_the_largest_context(header: Header, probe: FakeProbe) -> None:
    reserve = 384 * MIB
    short = machine(reserve + _needed(header, 4_096) + 200_000)
    misfit = fit_header(header, Wish(n_ctx=8_192, kv_type="f16"), short, probe=probe)
    assert isinstance(misfit, Misfit)
    assert misfit.offered_n_ctx == 4_096
    assert misfit.needed_bytes == _needed(header, 8_192)
    assert misfit.free_bytes == short.memory.available_bytes - reserve
    missing = misfit.needed_bytes - misfit.free_bytes
    assert misfit.sentence == (
        "SmolLM2 135M Instruct with a context of 8,192 tokens needs 309 MB of main memory. "
        f"{short.memory.available_bytes / 1e6:.0f} MB are free, of which 403 MB stay with the system, "
        f"so {missing / 1e6:.0f} MB are missing."
    )
    assert misfit.hint == "A context of 4,096 tokens fits."
    assert isinstance(fit_header(header, Wish(n_ctx=4_096, kv_type="f16"), short, probe=probe), Plan)
    assert isinstance(fit_header(header, Wish(n_ctx=4_352, kv_type="f16"), short, probe=probe), Misfit)


@pytest.mark.parametrize("room", range(150 * MIB, 330 * MIB, 30 * MIB))
def test_what_is_offered_fits_and_the_next_step_does_not(header: Header, probe: FakeProbe, room: int) -> None:
    here = machine(384 * MIB + room)
    misfit = fit_header(header, Wish(n_ctx=8_192, kv_type="f16"), here, probe=probe)
    if isinstance(misfit, Plan):
        assert _needed(header, 8_192) <= room
        return
    assert misfit.offered_n_ctx is not None
    assert _needed(header, misfit.offered_n_ctx) <= room
    # A chord may lie a little above the bend of the real buffer and give one step away.
    assert _needed(header, misfit.offered_n_ctx + 512) > room
    assert isinstance(fit_header(header, Wish(n_ctx=misfit.offered_n_ctx, kv_type="f16"), here, probe=probe), Plan)


def test_nothing_is_offered_when_nothing_fits(header: Header, probe: FakeProbe) -> None:
    for wish, wanted in ((Wish(), 512), (Wish(n_ctx=8_192), 8_192)):
        misfit = fit_header(header, wish, machine(384 * MIB + 60 * MIB), probe=probe)
        assert isinstance(misfit, Misfit)
        assert misfit.offered_n_ctx is None
        assert misfit.hint.startswith("Not even a context of 512 tokens fits")
        assert f"context of {wanted:,} tokens" in misfit.sentence


def test_automatic_context_shrinks_before_it_gives_up(header: Header, probe: FakeProbe) -> None:
    plan = fit_header(header, Wish(kv_type="f16"), machine(384 * MIB + _needed(header, 4_096) + 400_000), probe=probe)
    assert isinstance(plan, Plan)
    assert plan.n_ctx == 4_096
    # Each answer costs a process: the wished context, the least, and one or two near the largest that fits.
    assert len(probe.asked) <= 4
    least = fit_header(header, Wish(kv_type="f16"), machine(384 * MIB + _needed(header, LEAST_CONTEXT)), probe=probe)
    assert isinstance(least, Plan)
    assert least.n_ctx == LEAST_CONTEXT


@pytest.mark.parametrize(("available", "n_ctx"), [(1 * GIB, 8_192), (3 * GIB, 27_392), (64 * GIB, 32_768)])
def test_automatic_context_grows_with_a_quarter_of_the_room(
    header: Header, probe: FakeProbe, available: int, n_ctx: int
) -> None:
    longer = replace(header, metadata={**header.metadata, "llama.context_length": 131_072})
    plan = fit_header(longer, Wish(), machine(available), probe=probe)
    assert isinstance(plan, Plan)
    assert plan.n_ctx == pytest.approx(n_ctx, abs=2_048)


def test_memory_that_a_worker_gives_back_counts(header: Header, probe: FakeProbe) -> None:
    tight = machine(400 * MIB, total_bytes=2 * GIB)
    assert isinstance(fit_header(header, Wish(n_ctx=8_192), tight, probe=probe), Misfit)
    assert isinstance(fit_header(header, Wish(n_ctx=8_192), tight, probe=probe, reclaimable_bytes=400 * MIB), Plan)


def test_cache_that_arithmetic_does_not_know_is_added(header: Header) -> None:
    plan = fit_header(header, Wish(), machine(8 * GIB), probe=FakeProbe(header, extra_kv_bytes=50 * MIB))
    assert isinstance(plan, Plan)
    assert plan.devices[0].kv_bytes == 180 * MIB + 50 * MIB


def test_rounding_of_the_log_is_no_unknown_cache(header: Header) -> None:
    plan = fit_header(header, Wish(), machine(8 * GIB), probe=FakeProbe(header, extra_kv_bytes=5_000))
    assert isinstance(plan, Plan)
    assert plan.devices[0].kv_bytes == 180 * MIB


def test_a_probe_that_died_leaves_a_generous_estimate(header: Header) -> None:
    def dead(_question: ComputeQuestion) -> ComputeAnswer:
        raise ProbeFailed("probe_died", "The compute probe was ended by SIGKILL.")

    plan = fit_header(header, Wish(), machine(8 * GIB), probe=dead)
    assert isinstance(plan, Plan)
    assert plan.devices[0].compute_bytes > FakeProbe.compute_bytes(plan.n_ctx)


def test_a_model_that_llama_cpp_refuses_is_no_question_of_memory(header: Header) -> None:
    def refusing(_question: ComputeQuestion) -> ComputeAnswer:
        raise ProbeFailed("model_refused", "llama.cpp refused the model: unknown model architecture: 'x'")

    with pytest.raises(ModelFileError, match="unknown model architecture") as caught:
        fit_header(header, Wish(), machine(8 * GIB), probe=refusing)
    assert caught.value.code == "unsupported"


def test_a_cache_type_that_the_heads_refuse_becomes_f16(header: Header, probe: FakeProbe) -> None:
    def picky(question: ComputeQuestion) -> ComputeAnswer:
        if question.kv_type != "f16":
            raise ProbeFailed("context_refused", "K cache type q8_0 does not divide n_embd_head_k")
        return probe(question)

    plan = fit_header(header, Wish(kv_type="q8_0"), machine(8 * GIB), probe=picky)
    assert isinstance(plan, Plan)
    assert plan.kv_type == "f16"
    assert plan.devices[0].kv_bytes == 180 * MIB


def test_a_damaged_file_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))

    def never(_question: ComputeQuestion) -> ComputeAnswer:
        raise AssertionError("the probe was asked")

    with pytest.raises(ModelFileError):
        fit(path, Wish(), machine(8 * GIB), probe=never)


class TestCards:
    """One card: everything on it when it fits, else the last layers."""

    def test_everything_on_a_large_card(self, header: Header, probe: FakeProbe) -> None:
        plan = fit_header(header, Wish(), machine(8 * GIB, gpus=(card(8 * GIB),)), probe=probe)
        assert isinstance(plan, Plan)
        assert plan.n_gpu_layers == 31
        on_card, host = plan.devices
        assert (on_card.name, host.name) == ("CUDA0", "CPU")
        assert on_card.kv_bytes == 180 * MIB
        assert host.kv_bytes == 0
        # Tied word embeddings stay in main memory and are copied to the card.
        assert host.weights_bytes == 49_152 * 576 // 32 * 34
        assert on_card.weights_bytes == header.weights_bytes
        assert host.compute_bytes == 2 * MIB + MIB

    def test_as_many_layers_as_fit(self, header: Header, probe: FakeProbe) -> None:
        here = machine(8 * GIB, gpus=(card(256 * MIB + 150 * MIB),))
        plan = fit_header(header, Wish(kv_type="f16"), here, probe=probe)
        assert isinstance(plan, Plan)
        assert 0 < plan.n_gpu_layers < 31
        on_card, host = plan.devices
        assert on_card.needed_bytes <= 150 * MIB
        one_layer = 6 * MIB + 2_500_000
        assert on_card.needed_bytes + one_layer > 150 * MIB
        assert on_card.kv_bytes + host.kv_bytes == 180 * MIB
        assert on_card.kv_bytes == (plan.n_gpu_layers - 1) * 6 * MIB

    def test_a_card_too_small_for_one_layer_is_left_alone(self, header: Header, probe: FakeProbe) -> None:
        plan = fit_header(header, Wish(), machine(8 * GIB, gpus=(card(260 * MIB),)), probe=probe)
        assert isinstance(plan, Plan)
        assert plan.n_gpu_layers == 0
        assert [device.name for device in plan.devices] == ["CPU"]

    def test_main_memory_that_is_short_beside_a_card(self, header: Header, probe: FakeProbe) -> None:
        here = machine(384 * MIB + 20 * MIB, gpus=(card(8 * GIB),))
        misfit = fit_header(header, Wish(), here, probe=probe)
        assert isinstance(misfit, Misfit)
        assert "main memory" in misfit.sentence

    def test_memory_of_a_card_that_a_worker_gives_back_counts(self, header: Header, probe: FakeProbe) -> None:
        busy = replace(card(8 * GIB), free_bytes=300 * MIB)
        here = machine(8 * GIB, gpus=(busy,))
        little = fit_header(header, Wish(), here, probe=probe)
        whole = fit_header(header, Wish(), here, probe=probe, reclaimable_on_cards={"CUDA0": 2 * GIB})
        assert isinstance(little, Plan)
        assert isinstance(whole, Plan)
        assert little.n_gpu_layers == 0
        assert whole.n_gpu_layers == 31

    def test_shared_memory_is_counted_once(self, header: Header, probe: FakeProbe) -> None:
        shared = card(6 * GIB, name="MTL0", unified=True)
        assert isinstance(fit_header(header, Wish(), machine(2 * GIB, gpus=(shared,)), probe=probe), Plan)
        wish = Wish(n_ctx=8_192, kv_type="f16")
        misfit = fit_header(header, wish, machine(384 * MIB + 250 * MIB, gpus=(shared,)), probe=probe)
        assert isinstance(misfit, Misfit)

    def test_every_card_that_llama_cpp_can_use(self) -> None:
        small, large = card(4 * GIB), card(12 * GIB, name="CUDA1")
        blind = replace(card(48 * GIB), backend=None)
        chip = card(60 * GIB, name="Vulkan1", kind=DeviceKind.INTEGRATED, unified=True)
        found = budgets(machine(64 * GIB, gpus=(small, blind, chip, large)))
        assert [one.name for one in found.cards] == ["CUDA0", "CUDA1"]
        assert not found.shared
        alone = budgets(machine(64 * GIB, gpus=(blind, chip)))
        assert [one.name for one in alone.cards] == ["Vulkan1"]
        assert alone.shared
        assert alone.usable_bytes == alone.host.usable_bytes

    def test_a_cache_that_is_too_large_in_f16_is_kept_in_eight_bits(self, header: Header, probe: FakeProbe) -> None:
        tight = machine(384 * MIB + _needed(header, 8_192) - 20 * MIB)
        plan = fit_header(header, Wish(n_ctx=8_192), tight, probe=probe)
        assert isinstance(plan, Plan)
        assert plan.kv_type == "q8_0"
        assert any("q8_0" in reason and "would not fit" in reason for reason in plan.reasons)


@pytest.mark.parametrize(
    ("total", "reserve"), [(1 * GIB, 384 * MIB), (8 * GIB, 512 * MIB), (16 * GIB, GIB), (512 * GIB, 2 * GIB)]
)
def test_reserve_is_a_sixteenth_within_limits(total: int, reserve: int) -> None:
    budget = host_budget(Memory(total, total // 2, None))
    assert budget.reserve_bytes == reserve
    assert budget.usable_bytes == total // 2 - reserve


@pytest.mark.parametrize(
    ("sessions", "recurrent", "sequences"),
    [(1, False, 5), (4, False, 8), (20, False, 40), (4, True, 5), (999, False, 256)],
)
def test_sequences(sessions: int, recurrent: bool, sequences: int) -> None:
    assert count_sequences(sessions, recurrent=recurrent) == sequences


def test_files_on_the_network_are_read_not_mapped(tmp_path: Path) -> None:
    share = tmp_path / "share"
    here = machine(GIB, disks=(disk(tmp_path, "ext4"), disk(share, "nfs4")))
    assert choose_load_mode(tmp_path / "a.gguf", here) == "mmap"
    assert choose_load_mode(share / "a.gguf", here) == "read"
    assert choose_load_mode(Path("/elsewhere/a.gguf"), here) == "mmap"
