"""Counters of the engine, and their Prometheus text. The engine's thread writes, any thread may read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from engine.serving.sequence import FinishReason, Timings

_LATENCY_BOUNDS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKEN_BOUNDS_S: Final = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0)


class Histogram:
    """Counts under upper bounds, as Prometheus counts them."""

    def __init__(self, bounds: tuple[float, ...] = _LATENCY_BOUNDS_S) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def note(self, value: float) -> None:
        """Count a value."""
        index = next((i for i, bound in enumerate(self._bounds) if value <= bound), len(self._bounds))
        self._counts[index] += 1
        self._total += value

    def lines(self, name: str) -> Iterable[str]:
        """The text form."""
        running = 0
        for bound, count in zip((*self._bounds, None), self._counts, strict=True):
            running += count
            yield f'{name}_bucket{{le="{"+Inf" if bound is None else f"{bound:g}"}"}} {running}'
        yield f"{name}_sum {self._total:.6f}"
        yield f"{name}_count {running}"


@dataclass(slots=True)
class Metrics:
    """Totals since the start of the worker."""

    device: str = ""
    """Where the model computes."""
    steps: int = 0
    decode_s: float = 0.0
    """Seconds inside llama_decode."""
    python_s: float = 0.0
    """Seconds between two decodes: choosing tokens, handing them over, scheduling."""
    prompt_rows: int = 0
    decode_rows: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    forced_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    finished: dict[FinishReason, int] = field(default_factory=dict)
    queue: Histogram = field(default_factory=Histogram)
    prefill: Histogram = field(default_factory=Histogram)
    ttft: Histogram = field(default_factory=Histogram)
    tpot: Histogram = field(default_factory=lambda: Histogram(_TOKEN_BOUNDS_S))

    def note_step(self, n_rows: int, n_decoding: int, elapsed_s: float, python_s: float) -> None:
        """Count a computed step: seconds in llama_decode, and of ours since the step before."""
        self.steps += 1
        self.decode_s += elapsed_s
        self.python_s += python_s
        self.prompt_rows += n_rows - n_decoding
        self.decode_rows += n_decoding

    def note_request(self, timings: Timings, reason: FinishReason) -> None:
        """Count a sequence that has ended."""
        self.finished[reason] = self.finished.get(reason, 0) + 1
        self.prompt_tokens += timings.prompt_tokens
        self.cached_tokens += timings.cached_tokens
        self.completion_tokens += timings.completion_tokens
        self.forced_tokens += timings.forced_tokens
        self.drafted_tokens += timings.drafted_tokens
        self.accepted_tokens += timings.accepted_tokens
        if timings.completion_tokens:
            self.queue.note(timings.queue_s)
            self.prefill.note(timings.prefill_s)
            self.ttft.note(timings.ttft_s)
        if timings.completion_tokens > 1:
            self.tpot.note(timings.tpot_s)

    def lines(self) -> Iterable[str]:
        """The text form, without the gauges that the engine adds."""
        counters: dict[str, tuple[str, float]] = {
            "steps": ("Computed batches.", self.steps),
            "decode_seconds": ("Time inside llama_decode.", round(self.decode_s, 6)),
            "python_seconds": ("Time of our own between two batches.", round(self.python_s, 6)),
            "step_seconds": ("Both together.", round(self.decode_s + self.python_s, 6)),
            "prompt_rows": ("Rows computed for prompts.", self.prompt_rows),
            "decode_rows": ("Rows computed to go on with answers.", self.decode_rows),
            "prompt_tokens": ("Tokens of the prompts of ended requests.", self.prompt_tokens),
            "cached_tokens": ("Of these, taken from memory.", self.cached_tokens),
            "completion_tokens": ("Tokens of the answers of ended requests.", self.completion_tokens),
            "forced_tokens": ("Of these, written by a constraint.", self.forced_tokens),
            "drafted_tokens": ("Tokens guessed by prompt lookup.", self.drafted_tokens),
            "accepted_tokens": ("Of these, guessed right.", self.accepted_tokens),
        }
        for name, (what, value) in counters.items():
            yield from head(f"{name}_total", "counter", what)
            yield f"gatehouse_{name}_total {value}"
        yield from head("requests_total", "counter", "Answers that have ended, by how.")
        for reason, count in sorted(self.finished.items()):
            yield f'gatehouse_requests_total{{finish="{reason}"}} {count}'
        yield from head("device_info", "gauge", "Where the model computes.")
        yield f'gatehouse_device_info{{device="{escaped(self.device)}"}} 1'
        for name, what, histogram in (
            ("queue_seconds", "From the call to the first step.", self.queue),
            ("prefill_seconds", "From the first step to the first token.", self.prefill),
            ("ttft_seconds", "From the call to the first token.", self.ttft),
            ("tpot_seconds", "Between two tokens of an answer, its average.", self.tpot),
        ):
            yield from head(name, "histogram", what)
            yield from histogram.lines(f"gatehouse_{name}")


def head(name: str, kind: str, what: str) -> Iterable[str]:
    """What stands before a metric's values."""
    yield f"# HELP gatehouse_{name} {what}"
    yield f"# TYPE gatehouse_{name} {kind}"


def escaped(label: str) -> str:
    """A label's value. Source: Prometheus' text format."""
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
