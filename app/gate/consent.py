"""The person's consent: to exact bytes, once, in this run of the program.

Sheets and consent live in memory only. When the program ends, or is killed, between consent and sending, nothing is
left that could send by itself later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.chat.lines import Line
from app.gate.preview import Made, Sheet
from engine.errors import GatehouseError

_OPEN_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Shown:
    """A sheet as the person has it before them."""

    sheet: Sheet
    made: Made
    line: Line
    """Where the answer's place is."""


class Consents:
    """The open sheets, by id."""

    def __init__(self) -> None:
        self._shown: OrderedDict[str, Shown] = OrderedDict()
        self.era = 0
        """Changes when everything is forgotten: what was begun before is not shown after."""

    def show(self, shown: Shown) -> None:
        """Keep what is shown; the oldest are forgotten when there are too many."""
        self._shown[shown.sheet.id] = shown
        self._shown.move_to_end(shown.sheet.id)
        while len(self._shown) > _OPEN_AT_ONCE:
            self._shown.popitem(last=False)

    def forget_all(self) -> None:
        """The app is locked: no text stays, and what was open cannot be sent."""
        self._shown.clear()
        self.era += 1

    def shown(self, preview_id: str) -> Shown:
        """Raises ``GatehouseError`` ``no_such_preview`` when it was sent, discarded or forgotten."""
        found = self._shown.get(preview_id)
        if found is None:
            raise GatehouseError("no_such_preview", "This sheet was sent or closed already.", "Open it again.")
        return found

    def forget(self, preview_id: str) -> None:
        self._shown.pop(preview_id, None)

    @contextmanager
    def consent(self, preview_id: str, body_sha256: str) -> Iterator[Shown]:
        """What was consented to; it can be had once, and again only when the work with it raises.

        Raises ``GatehouseError`` when the consent is to other bytes than those that would leave.
        """
        shown = self.shown(preview_id)
        preview = shown.made.preview
        if not preview.body or preview.body_sha256 != body_sha256:
            raise GatehouseError(
                "other_bytes", "What would leave has changed since it was shown, so nothing was sent.", "Look again."
            )
        del self._shown[preview_id]
        era = self.era
        try:
            yield shown
        except BaseException:
            if era == self.era:
                self._shown.setdefault(preview_id, shown)
            raise
