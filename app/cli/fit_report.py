"""What ``gatehouse fit`` prints: plans and recommendations as JSON, and as text with a small table of the memories."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from app.cli import printer
from engine.fit.budget import budgets
from engine.fit.plan import Band, DeviceBytes, Misfit, Plan

if TYPE_CHECKING:
    from engine.fit.recommend import Advice, Pick
    from engine.hardware.profile import Machine


@dataclass(frozen=True, slots=True)
class FitAnswer:
    """A plan or a misfit, and what it is founded on."""

    model: str
    answer: Plan | Misfit
    exact: bool
    """Planned from the file's header, not from the catalogue's facts."""
    traffic_bytes: int = 0
    """Fetched from a hub to know this."""


def fields_of(told: FitAnswer, machine: Machine) -> dict[str, object]:
    """The answer for one model."""
    found = {"model": told.model, "exact": told.exact, "traffic_bytes": told.traffic_bytes}
    if isinstance(told.answer, Plan):
        return found | plan_fields(told.answer)
    return found | misfit_fields(told.answer, machine)


def plan_fields(plan: Plan) -> dict[str, object]:
    """Of a model that fits."""
    speed = plan.speed
    return {
        "fits": True,
        "reason": " ".join(_summary(plan)),
        "n_ctx": plan.n_ctx,
        "n_ctx_each": plan.n_ctx_each,
        "devices": [_device_fields(device) for device in plan.devices],
        "experts_in_ram_layers": list(plan.experts_in_ram),
        "kv_type": plan.kv_type,
        "prefill_tok_s": _band_fields(speed.prefill_tok_s) if speed else None,
        "decode_tok_s": _band_fields(speed.decode_tok_s) if speed else None,
        "calibrated": bool(speed and speed.calibrated),
        "n_ctx_train": plan.n_ctx_train,
        "n_gpu_layers": plan.n_gpu_layers,
        "layers_per_card": list(plan.layers_per_card),
        "n_ubatch": plan.n_ubatch,
        "n_seq_max": plan.n_seq_max,
        "kv_unified": plan.kv_unified,
        "load_mode": plan.load_mode,
        "threads": plan.threads,
        "op_offload_tokens": plan.op_offload_tokens,
        "reasons": list(plan.reasons),
        "offered_n_ctx": None,
    }


def misfit_fields(misfit: Misfit, machine: Machine) -> dict[str, object]:
    """Of a model that does not fit: the memories as they are, with nothing in them."""
    memories = budgets(machine)
    devices = [DeviceBytes(one.name, one.kind, one.free_bytes, 0, 0, 0, 0) for one in (*memories.cards, memories.host)]
    return {
        "fits": False,
        "reason": misfit.sentence,
        "n_ctx": None,
        "devices": [_device_fields(device) for device in devices],
        "experts_in_ram_layers": [],
        "kv_type": None,
        "prefill_tok_s": None,
        "decode_tok_s": None,
        "hint": misfit.hint,
        "needed_bytes": misfit.needed_bytes,
        "usable_bytes": misfit.free_bytes,
        "offered_n_ctx": misfit.offered_n_ctx,
    }


def advice_fields(advice: Advice) -> dict[str, object]:
    """A recommendation."""
    tiers = {"fast": advice.fast, "strong": advice.strong, "cloud": advice.cloud}
    return {"task": advice.task} | {tier: [_pick_fields(pick) for pick in picks] for tier, picks in tiers.items()}


def print_answer(told: FitAnswer, machine: Machine) -> None:
    """As text."""
    answer = told.answer
    if isinstance(answer, Misfit):
        printer.line(f"{told.model} does not fit.")
        printer.line(f"{answer.sentence} {answer.hint}")
        memories = budgets(machine)
        rows = [(one.name, printer.size(one.free_bytes), printer.size(one.usable_bytes))
                for one in (*memories.cards, memories.host)]  # fmt: skip
        printer.table(("DEVICE", "FREE", "FOR A MODEL"), rows)
        return
    printer.line(f"{told.model} fits. {' '.join(_summary(answer))}")
    printer.line("")
    printer.table(("DEVICE", "FREE", "WEIGHTS", "OF THEM EXPERTS", "KV", "STATE", "COMPUTE", "LEFT"), _rows(answer))
    printer.line("")
    for reason in answer.reasons:
        printer.line(f"- {reason}")
    if told.traffic_bytes:
        printer.line(f"- Known from the header alone: {printer.size(told.traffic_bytes)} were fetched.")


def print_advice(advice: Advice, machine: Machine) -> None:
    """As text."""
    memories = budgets(machine)
    held = ", ".join(f"{printer.size(one.free_bytes)} free on {one.name}" for one in (*memories.cards, memories.host))
    printer.line(f"For {advice.task}, on this machine ({held}):" if not _is_described(machine) else
                 f"For {advice.task}, on the described machine ({held}):")  # fmt: skip
    titles = {
        "Fast: answers at once": advice.fast,
        "Strong: the best that this machine can run": advice.strong,
        "What only a cloud, or a much larger machine, can do": advice.cloud,
    }
    for title, picks in titles.items():
        printer.line("")
        printer.line(title)
        if not picks:
            printer.line("  Nothing of the catalogue.")
        for pick in picks:
            _print_pick(pick)


def _print_pick(pick: Pick) -> None:
    size = f", {printer.size(pick.size_bytes)}" if pick.size_bytes else ""
    printer.line(f"  {pick.model.name} {pick.variant.quantization}{size}  ({pick.model.id})")
    for reason in pick.reasons:
        printer.line(f"    {reason}")
    for catch in pick.model.catches:
        printer.line(f"    Note: {catch}")


def _is_described(machine: Machine) -> bool:
    return not machine.disks and not machine.notes


def _summary(plan: Plan) -> list[str]:
    """What matters most, in two sentences."""
    cards = [device for device in plan.devices if device.kind != "cpu"]
    parts = [f"{printer.size(card.needed_bytes)} on {card.name}" for card in cards]
    where = " and ".join([*parts, f"{printer.size(plan.devices[-1].needed_bytes)} in main memory"])
    kept = f", with the experts of {len(plan.experts_in_ram)} layers" if plan.experts_in_ram else ""
    each = f" for each of {plan.n_parts} users" if plan.n_parts > 1 else ""
    sentences = [f"It takes {where}{kept}, with a context of {plan.n_ctx_each:,} tokens{each}."]
    if plan.speed is not None:
        sentences.append(f"About {_band(plan.speed.decode_tok_s)} tokens a second.")
    return sentences


def _band(band: Band) -> str:
    digits = 0 if band.likely >= 10 else 1
    return f"{band.likely:,.{digits}f} ({band.low:,.{digits}f} to {band.high:,.{digits}f})"


def _rows(plan: Plan) -> list[tuple[str, ...]]:
    return [
        (
            device.name,
            *(
                printer.size(count)
                for count in (
                    device.free_bytes,
                    device.weights_bytes,
                    device.experts_bytes,
                    device.kv_bytes,
                    device.recurrent_bytes,
                    device.compute_bytes + device.allowance_bytes,
                    max(0, device.free_bytes - device.needed_bytes),
                )
            ),
        )
        for device in plan.devices
    ]


def _device_fields(device: DeviceBytes) -> dict[str, object]:
    fields = asdict(device)
    return fields | {"kind": device.kind.value, "needed_bytes": device.needed_bytes}


def _band_fields(band: Band) -> dict[str, float]:
    return {"low": round(band.low, 2), "likely": round(band.likely, 2), "high": round(band.high, 2)}


def _pick_fields(pick: Pick) -> dict[str, object]:
    told: dict[str, object] = {}
    if pick.plan is not None:
        told = plan_fields(pick.plan)
    elif pick.misfit is not None:
        told = {"fits": False, "reason": pick.misfit.sentence, "hint": pick.misfit.hint}
    return {
        "model": pick.model.id,
        "name": pick.model.name,
        "repo": pick.variant.repo,
        "quantization": pick.variant.quantization,
        "size_bytes": pick.size_bytes,
        "licence": pick.model.licence,
        "catches": list(pick.model.catches),
        **told,
        "reasons": list(pick.reasons),
    }
