"""``python -m engine.worker``: one model in one process."""

from __future__ import annotations

import sys

from engine.worker.main import main

if __name__ == "__main__":
    sys.exit(main())
