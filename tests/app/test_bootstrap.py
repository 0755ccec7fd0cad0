"""The end of a product whose parts fail."""

from __future__ import annotations

import pytest

from app.bootstrap import close_all


class _Part:
    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.closed = False

    async def close(self) -> None:
        self.closed = True
        if self.fault is not None:
            raise self.fault


async def test_a_part_that_fails_leaves_no_other_open(caplog: pytest.LogCaptureFixture) -> None:
    parts = (_Part(), _Part(OSError("first")), _Part(), _Part(ValueError("second")), _Part())
    with pytest.raises(OSError, match="first"):
        await close_all(*parts)
    assert all(part.closed for part in parts)
    assert len(caplog.records) == 2
