"""What a sandboxed child may use, and what of that the kernel really holds it to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one child. Beyond any of them it ends, and only it."""

    memory_bytes: int = 1536 << 20
    """Private memory. The kernel refuses more where it can; the parent looks on everywhere, and kills."""
    cpu_s: int = 90
    """Processor time for each part of an answer, of all threads together."""
    wall_s: float = 180.0
    """Time for each part of an answer by the clock; held by the parent alone."""
    file_bytes: int = 0
    """The longest file that may be written: none."""
    open_files: int = 128
    answer_bytes: int = 512 << 20
    """Everything that may be answered to one question; held by the parent."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the operating system enforces on a child, as the child found it. ``False``: only the parent looks on."""

    memory: bool = False
    cpu: bool = False
    files: bool = False
    """No file can be made longer than allowed."""
    network: bool = False
    """No socket can be opened, no program started, no other process touched (seccomp)."""
    read_only: bool = False
    """No file can be written, renamed or removed (Landlock)."""
    parent_death: bool = False
    """The kernel ends the child with its parent. Elsewhere the end of its input, or a job object, does."""

    def gaps(self) -> tuple[str, ...]:
        """What is not enforced here, in words for a report."""
        named = (
            (self.memory, "memory"),
            (self.cpu, "processor time"),
            (self.files, "file size"),
            (self.network, "network"),
            (self.read_only, "writing"),
        )
        return tuple(word for held, word in named if not held)
