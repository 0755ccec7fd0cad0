"""The ways to begin, as cards: a name, its facts, a button, and its progress once it was taken."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QFrame, QProgressBar

from app.models.offers import Suggestion
from app.models.records import Download
from ui import display
from ui.desk import Desk
from ui.pages.models.downloads import words
from ui.theme import GRID
from ui.widgets.parts import button, column, label, row, set_tone


class ChoiceCard(QFrame):
    """One way to begin."""

    def __init__(self, desk: Desk, name: str, act: str, run: Callable[[], object], *, primary: bool = False) -> None:
        super().__init__()
        self.setProperty("kind", "card")
        fonts = desk.themes.fonts
        self.name = label(name, fonts.strong, wrap=True)
        self.facts = label("", fonts.caption, "muted", wrap=True)
        self.more = label("", fonts.caption, "muted", wrap=True)
        self.more.hide()
        self.button = button(act, run, "primary" if primary else "", name=f"{act}: {name}")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName(name)
        self.bar.hide()
        line = row(column(self.name, self.facts, self.more, self.bar, spacing=GRID // 2), self.button, spacing=2 * GRID)
        line.setContentsMargins(2 * GRID, 12, 2 * GRID, 12)
        line.setStretch(0, 1)
        self.setLayout(line)

    def say(self, facts: str, more: str = "", tone: str = "muted") -> None:
        self.facts.setText(facts)
        set_tone(self.facts, tone)
        self.more.setText(more)
        self.more.setVisible(bool(more))


class SuggestedCard(ChoiceCard):
    """A model that we would fetch: why, how fast, how large; then how far it is."""

    def __init__(self, desk: Desk, run: Callable[[Suggestion], object], *, primary: bool) -> None:
        super().__init__(desk, "", self.tr("Download"), self._run, primary=primary)
        self._asked = run
        self._suggestion: Suggestion | None = None
        self.hide()

    @property
    def suggestion(self) -> Suggestion | None:
        return self._suggestion

    def show_suggestion(self, found: Suggestion | None) -> None:
        self._suggestion = found
        self.setVisible(found is not None)
        if found is None:
            return
        self.name.setText(found.offer.name)
        self.say(facts(found), " ".join(found.reasons[:1]))
        size = found.choice.size_bytes
        words_ = self.tr("Download %1").replace("%1", display.byte_size(size)) if size else self.tr("Download")
        self.button.setText(words_)
        self.button.setAccessibleName(f"{words_}: {found.offer.name}")

    def show_download(self, download: Download | None) -> None:
        """How far it is; ``None`` when it is not on its way."""
        goes = download is not None and download.state != "failed"
        self.bar.setVisible(goes and download is not None and download.state != "done")
        if download is None:
            self.button.setEnabled(True)
            return
        self.bar.setValue(round(download.done_ratio * 1000))
        self.say(words(download), tone="danger" if download.state == "failed" else "muted")
        self.button.setEnabled(download.state in ("failed", "paused", "done"))
        named = {
            "failed": self.tr("Try again"),
            "paused": self.tr("Go on"),
            "done": self.tr("Start with it"),
        }
        self.button.setText(named.get(download.state, self.tr("On its way")))

    def _run(self) -> None:
        if self._suggestion is not None:
            self._asked(self._suggestion)


def facts(found: Suggestion) -> str:
    """``18–24 tok/s expected · 17.3 GiB · Q4_K_M · Apache 2.0``."""
    parts = []
    if found.plan is not None and found.plan.speed is not None:
        band = found.plan.speed.decode_tok_s
        parts.append(_tr("%1 expected").replace("%1", display.speed_band(band.low, band.high)))
    if found.choice.size_bytes is not None:
        parts.append(display.byte_size(found.choice.size_bytes))
    parts += [found.choice.quantization, display.licence(found.offer.licence or "")]
    return " · ".join(part for part in parts if part)


def _tr(text: str) -> str:
    return QCoreApplication.translate("welcome", text)
