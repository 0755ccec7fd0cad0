"""The child takes its own rights away, before it touches anything that it was sent.

Memory, processor time and file size by ``setrlimit`` (POSIX); the network by ``seccomp``; writing by ``landlock``.
Where a system offers none of it (Windows; on macOS, the memory limit) the parent's look-out is what remains, and the
``Confinement`` says so.
"""

from __future__ import annotations

import ctypes
import os
import sys

from engine.sandbox.landlock import refuse_changes
from engine.sandbox.limits import Confinement, Limits
from engine.sandbox.seccomp import refuse_network
from engine.worker.lifeline import bind_to_parent

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def confine(limits: Limits, parent_pid: int) -> Confinement:
    """Apply everything that this system has. Call it before any thread is started and any parser imported.

    Raises: ``engine.worker.lifeline.ParentGone`` when there is nobody left to work for.
    """
    bind_to_parent(parent_pid)
    memory = files = cpu = False
    if sys.platform != "win32":
        memory, files = _limit_resources(limits)
        cpu = allow_cpu(limits.cpu_s)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        # No core dumps, and no other process of this user may look into this one's memory: documents are in it.
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # what an ordinary user must promise before Landlock and seccomp
    read_only = refuse_changes()
    network = refuse_network(os.getpid())
    return Confinement(memory, cpu, files, network, read_only, parent_death=sys.platform == "linux")


if sys.platform == "win32":

    def allow_cpu(cpu_s: int) -> bool:
        """There is no such limit here."""
        del cpu_s
        return False

else:
    import resource

    def allow_cpu(cpu_s: int) -> bool:
        """From now on, so much processor time again; beyond it the kernel ends the process (SIGXCPU)."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        return True

    def _limit_resources(limits: Limits) -> tuple[bool, bool]:
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_NOFILE, limits.open_files)
        files = _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
        # Private writable memory, not address space: threads and libraries reserve much that they never touch.
        memory = _limit(resource.RLIMIT_DATA, limits.memory_bytes)
        return memory and sys.platform == "linux", files

    def _limit(what: int, value: int) -> bool:
        _, hard = resource.getrlimit(what)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        try:
            resource.setrlimit(what, (value, value))
        except (OSError, ValueError):
            return False
        return True
