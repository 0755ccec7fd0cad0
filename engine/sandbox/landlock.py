"""Linux: take the right to change any file from this process (Landlock, kernel 5.13 or later). Reading stays allowed.

Source: landlock(7), linux/landlock.h. The numbers of its system calls are the same on every machine.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1
_CHANGES: Final = 0b0_0001_1111_1111_0010
"""WRITE_FILE, REMOVE_DIR, REMOVE_FILE and MAKE_CHAR ... MAKE_SYM: bits 1 and 4 to 12."""
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # from versions 2 and 3 on


def refuse_changes() -> bool:
    """Deny every change of a file system from now on; ``False`` where the kernel cannot.

    For the calling thread and those that it starts later: call it before there are others. Descriptors that are
    already open stay as they are.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    changes = _CHANGES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    handled = ctypes.c_uint64(changes)
    rules = libc.syscall(_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    if rules < 0:
        return False
    try:
        return int(libc.syscall(_RESTRICT_SELF, rules, 0)) == 0
    finally:
        os.close(rules)
