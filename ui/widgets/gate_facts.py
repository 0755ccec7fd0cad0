"""What a request is, in a line of small facts: tokens, price, size, label, gate, what is attached."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QWidget

from app.gate.records import OutgoingAttachment, Preview
from ui import display, gate_words
from ui.theme import GRID, ThemeStore
from ui.widgets.parts import column, label, row


class FactsLine(QWidget):
    """Names above values."""

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._facts: dict[str, tuple[QWidget, QLabel]] = {}
        self._optional = ("bytes", "gate")
        names = {
            "tokens": self.tr("Prompt"),
            "cost": self.tr("Price at most"),
            "bytes": self.tr("Size"),
            "label": self.tr("Label"),
            "gate": self.tr("Gate"),
            "attached": self.tr("Attached"),
        }
        line = row(spacing=3 * GRID)
        for key, name in names.items():
            value = label("", themes.fonts.body)
            whole = QWidget()
            whole.setLayout(column(label(name, themes.fonts.caption, "muted"), value, spacing=0))
            value.setAccessibleDescription(name)
            self._facts[key] = whole, value
            line.addWidget(whole)
        line.addStretch(1)
        self.setLayout(line)

    def set_narrow(self, narrow: bool) -> None:
        """Leaves off what the exact bytes and the composer say too."""
        for key in self._optional:
            self._facts[key][0].setVisible(not narrow)

    def show_preview(self, preview: Preview) -> None:
        cost = preview.cost_usd_at_most
        self._say("tokens", self.tr("about %1").replace("%1", display.tokens(preview.prompt_tokens)))
        self._say(
            "cost",
            display.usd(cost) if cost is not None else self.tr("not known"),
            "" if cost is not None else "warning",
        )
        self._say("bytes", display.byte_size(len(preview.body)) if preview.body else "—")
        self._say("label", gate_words.label_words(preview.label), gate_words.label_tone(preview.label))
        self._say("gate", gate_words.mode_words(preview.mode))
        self._say("attached", self._attached(preview.attachments))
        self._facts["cost"][1].setToolTip(self._price(preview))
        self._facts["bytes"][1].setToolTip(self.tr("SHA-256 %1").replace("%1", preview.body_sha256))
        self._facts["attached"][1].setToolTip("\n".join(_described(part) for part in preview.attachments))
        told = ", ".join(value.text() for _, value in self._facts.values())
        self.setAccessibleName(told)

    def value(self, key: str) -> str:
        """What is said of ``tokens``, ``cost``, ``bytes``, ``label``, ``gate`` or ``attached``."""
        return self._facts[key][1].text()

    def _attached(self, attachments: tuple[OutgoingAttachment, ...]) -> str:
        if not attachments:
            return self.tr("nothing")
        if len(attachments) == 1:
            return attachments[0].name
        return self.tr("%1 and %2 more").replace("%1", attachments[0].name).replace("%2", str(len(attachments) - 1))

    def _price(self, preview: Preview) -> str:
        provider = preview.provider
        if not provider.is_priced:
            return self.tr("No price is set for %1, so no budget can stop it.").replace("%1", provider.name)
        words = self.tr("%1 a million tokens in, %2 out; an answer of at most %3.")
        words = words.replace("%1", display.usd_per_mtok(provider.input_usd_per_mtok))
        words = words.replace("%2", display.usd_per_mtok(provider.output_usd_per_mtok))
        return words.replace("%3", display.tokens(preview.max_tokens or 0))

    def _say(self, key: str, words: str, tone: str = "") -> None:
        value = self._facts[key][1]
        value.setText(words)
        if value.property("tone") != tone:
            value.setProperty("tone", tone)
            value.style().unpolish(value)
            value.style().polish(value)


def _described(part: OutgoingAttachment) -> str:
    return f"{part.name} · {display.integer(part.characters)} · {gate_words.label_words(part.label)}"
