"""What set-up says: plain lines, and one line that keeps changing when a person is watching."""

import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(slots=True)
class Console:
    """Writes to a stream; without a terminal the changing line becomes a plain line now and then."""

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    quiet_s: float = 20.0
    """Without a terminal, progress is said at most this often."""
    _shown: int = 0
    _said_at: float = float("-inf")

    def line(self, text: str) -> None:
        self._erase()
        self._write(text + "\n")

    def progress(self, text: str, last: bool = False) -> None:
        """Show where a long step is; `last` leaves the line standing."""
        if self.stream.isatty():
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._erase()
            self._write(text[:width])
            self._shown = min(len(text), width)
            if last:
                self._write("\n")
                self._shown = 0
        elif last or time.monotonic() - self._said_at >= self.quiet_s:
            self._said_at = time.monotonic()
            self._write(text + "\n")

    def _erase(self) -> None:
        if self._shown:
            self._write("\r" + " " * self._shown + "\r")
            self._shown = 0

    def _write(self, text: str) -> None:
        encoding = self.stream.encoding or "utf-8"
        self.stream.write(text.encode(encoding, "replace").decode(encoding))
        self.stream.flush()
