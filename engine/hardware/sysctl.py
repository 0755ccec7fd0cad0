"""What macOS tells about itself through ``sysctl``, with a time limit. Elsewhere there is nothing to ask."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def read_sysctl(names: Sequence[str], *, command: str = "/usr/sbin/sysctl", timeout_s: float = 3.0) -> dict[str, str]:
    """The values of those names that exist. Raises ``OSError`` or ``subprocess.TimeoutExpired``."""
    done = subprocess.run([command, *names], capture_output=True, text=True, timeout=timeout_s, check=False)
    return parse_sysctl(done.stdout)


def parse_sysctl(output: str) -> dict[str, str]:
    """Lines of ``name: value``. Names that this system does not know are missing (they go to standard error)."""
    values: dict[str, str] = {}
    for line in output.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            values[name.strip()] = value.strip()
    return values
