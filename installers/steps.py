"""The shape of a step of the set-up and the loop that runs them. Leaves what a step does to the other modules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from installers.console import Console


class StepFailed(Exception):
    """A step cannot be finished on this machine as it is.

    `why` is what was found, `how` what the person does to go on; both are shown, nothing else is.
    """

    def __init__(self, why: str, how: str) -> None:
        super().__init__(why)
        self.why = why
        self.how = how


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that must be so. `missing` says in a few words what is not there yet, or nothing when all is."""

    name: str
    missing: Callable[[], str | None]
    act: Callable[[], None]


def run_steps(steps: Sequence[Step], console: Console) -> bool:
    """Run what is not done yet, in order, and stop at the first that fails."""
    for number, step in enumerate(steps, 1):
        head = f"[{number}/{len(steps)}] {step.name}"
        try:
            missing = step.missing()
            if missing is None:
                console.line(f"{head}: ready")
                continue
            console.line(f"{head}: {missing}")
            step.act()
        except StepFailed as failure:
            console.line(f"\nSet-up stopped at: {step.name}")
            console.line(f"  why: {failure.why}")
            console.line(f"  how to go on: {failure.how}")
            return False
    return True
