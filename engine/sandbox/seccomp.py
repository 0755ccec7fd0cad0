"""Linux: a seccomp filter after which a process can open no socket, start no program and touch no other process.

Building the filter is pure; installing it is final for every thread of the process. Other systems have no equivalent
that a process can put on itself without rights: there ``refuse_network`` says ``False``.

Source: seccomp(2), linux/seccomp.h, linux/filter.h, linux/audit.h, and the system call tables of both machines.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_KILL: Final = 0x8000_0000
_ALLOW: Final = 0x7FFF_0000
_REFUSE: Final = 0x0005_0000 | 1  # EPERM
_AT_NUMBER, _AT_MACHINE, _AT_FIRST_ARGUMENT = 0, 4, 16  # struct seccomp_data, both machines little-endian
_X32_BIT: Final = 0x4000_0000

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1  # SECCOMP_FILTER_FLAG_TSYNC


@dataclass(frozen=True, slots=True)
class Calls:
    """The numbers of system calls on one machine."""

    audit: int
    seccomp: int
    refused: tuple[int, ...]
    own_process_only: tuple[int, ...]
    """Their first argument must be this process: signals."""


MACHINES: Final = {
    # socket, execve, execveat, ptrace, process_vm_readv, process_vm_writev, add_key, request_key, keyctl, bpf,
    # perf_event_open, userfaultfd, tkill, pidfd_send_signal, io_uring_setup (it could open sockets), pidfd_getfd
    "x86_64": Calls(
        0xC000_003E,
        317,
        (41, 59, 322, 101, 310, 311, 248, 249, 250, 321, 298, 323, 200, 424, 425, 438),
        (62, 234),  # kill, tgkill
    ),
    "aarch64": Calls(
        0xC000_00B7,
        277,
        (198, 221, 281, 117, 270, 271, 217, 218, 219, 280, 241, 282, 130, 424, 425, 438),
        (129, 131),
    ),
}


def build_filter(calls: Calls, pid: int) -> bytes:
    """The program: eight bytes an instruction (code, jump if true, jump if false, constant)."""
    refused, signals = calls.refused, calls.own_process_only
    # Laid out as: machine, number, x32, refused calls, signals, ALLOW, own-process check, ALLOW, REFUSE, KILL.
    head = 4
    allow = head + len(refused) + len(signals)
    check, refuse, kill = allow + 1, allow + 4, allow + 5
    program = [
        (_LOAD, 0, 0, _AT_MACHINE),
        (_JUMP_EQUAL, 0, kill - 2, calls.audit),
        (_LOAD, 0, 0, _AT_NUMBER),
        (_JUMP_AT_LEAST, kill - 4, 0, _X32_BIT),
    ]
    program += [(_JUMP_EQUAL, refuse - len(program) - i - 1, 0, number) for i, number in enumerate(refused)]
    program += [(_JUMP_EQUAL, check - head - len(refused) - i - 1, 0, number) for i, number in enumerate(signals)]
    program += [
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _AT_FIRST_ARGUMENT),
        (_JUMP_EQUAL, 0, 1, pid),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _KILL),
    ]
    return _pack(program)


def refuse_network(pid: int) -> bool:
    """Install the filter on every thread of this process. ``False`` where there is none, or the kernel has it off."""
    if sys.platform != "linux":
        return False
    calls = MACHINES.get(platform.machine())
    return calls is not None and _install(calls, build_filter(calls, pid))


def _pack(program: Sequence[tuple[int, int, int, int]]) -> bytes:
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _install(calls: Calls, instructions: bytes) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(instructions) // 8, instructions)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    address = ctypes.byref(program)
    if libc.syscall(calls.seccomp, _SET_MODE_FILTER, _ALL_THREADS, address) == 0:
        return True
    return int(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, address, 0, 0)) == 0
