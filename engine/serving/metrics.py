"""Counters of the engine, and their Prometheus text. The engine's thread writes, any thread may read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.serving.sequence import FinishReason, Timings

_LATENCY_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Histogram:
    """Counts under upper bounds, as Prometheus counts them."""

    bounds: tuple[float, ...] = _LATENCY_BOUNDS_S
    counts: list[int] = field(default_factory=lambda: [0] * (len(_LATENCY_BOUNDS_S) + 1))
    total: float = 0.0

    def note(self, value: float) -> None:
        """Count a value."""
        index = next((i for i, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        self.counts[index] += 1
        self.total += value

    def lines(self, name: str) -> Iterable[str]:
        """The text form."""
        running = 0
        for bound, count in zip((*self.bounds, None), self.counts, strict=True):
            running += count
            yield f'{name}_bucket{{le="{"+Inf" if bound is None else f"{bound:g}"}"}} {running}'
        yield f"{name}_sum {self.total:.6f}"
        yield f"{name}_count {running}"


@dataclass(slots=True)
class Metrics:
    """Totals since the start of the worker."""

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
    finished: dict[FinishReason, int] = field(default_factory=dict)
    ttft: Histogram = field(default_factory=Histogram)
    queue: Histogram = field(default_factory=Histogram)

    def note_step(self, n_rows: int, n_decoding: int, elapsed_s: float, python_s: float) -> None:
        """Count a computed step: seconds in llama_decode, and of ours since the step before."""
        self.python_s += python_s
        self.steps += 1
        self.decode_s += elapsed_s
        self.prompt_rows += n_rows - n_decoding
        self.decode_rows += n_decoding

    def note_request(self, timings: Timings, reason: FinishReason) -> None:
        """Count a sequence that has ended."""
        self.finished[reason] = self.finished.get(reason, 0) + 1
        self.prompt_tokens += timings.prompt_tokens
        self.cached_tokens += timings.cached_tokens
        self.completion_tokens += timings.completion_tokens
        if timings.completion_tokens:
            self.queue.note(timings.queue_s)
            self.ttft.note(timings.queue_s + timings.prefill_s)

    def lines(self) -> Iterable[str]:
        """The text form, without the gauges that the engine adds."""
        counters = {
            "steps_total": self.steps,
            "decode_seconds_total": round(self.decode_s, 6),
            "prompt_rows_total": self.prompt_rows,
            "decode_rows_total": self.decode_rows,
            "prompt_tokens_total": self.prompt_tokens,
            "cached_tokens_total": self.cached_tokens,
            "completion_tokens_total": self.completion_tokens,
        }
        for name, value in counters.items():
            yield f"# TYPE gatehouse_{name} counter"
            yield f"gatehouse_{name} {value}"
        yield "# TYPE gatehouse_requests_total counter"
        for reason, count in sorted(self.finished.items()):
            yield f'gatehouse_requests_total{{finish="{reason}"}} {count}'
        for name, histogram in (("ttft_seconds", self.ttft), ("queue_seconds", self.queue)):
            yield f"# TYPE gatehouse_{name} histogram"
            yield from histogram.lines(f"gatehouse_{name}")
