"""Budgets: what may be spent elsewhere a day and a month, and what was. They stop; they don't warn."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QFrame, QProgressBar, QWidget

from app.gate.records import Budget
from engine.errors import GatehouseError
from ui import display
from ui.desk import Desk
from ui.theme import GRID, grown
from ui.widgets.parts import button, column, label, row

_WIDTH = 640
_PAUSE_MS = 500
_STEPS = 1000
_FIRST = (1.0, 10.0)
"""Dollars that a limit begins with when it is switched on."""


class LimitCard(QFrame):
    """One limit: a bar, the words, a switch and an amount."""

    def __init__(self, desk: Desk, title: str, first_usd: float) -> None:
        super().__init__()
        self.setProperty("kind", "card")
        self._first = first_usd
        fonts = desk.themes.fonts
        self.words = label("")
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(title)
        self.note = label("", fonts.caption, "muted", wrap=True)
        self.limited = QCheckBox(self.tr("Stop at"))
        self.amount = QDoubleSpinBox()
        self.amount.setPrefix("$")
        self.amount.setDecimals(2)
        self.amount.setRange(0.0, 100_000.0)
        self.amount.setFixedWidth(grown(16 * GRID))
        self.amount.lineEdit().setTextMargins(7, 0, 7, 0)
        self.amount.setAccessibleName(self.tr("%1: limit in dollars").replace("%1", title))
        self.limited.setAccessibleName(self.tr("%1: stop at a limit").replace("%1", title))
        head = row(label(title, fonts.strong), None, self.words)
        foot = row(self.limited, self.amount, None)
        self.setLayout(column(head, self.bar, self.note, foot, spacing=10, margin=2 * GRID))

    @property
    def limit_usd(self) -> float | None:
        return self.amount.value() if self.limited.isChecked() else None

    def show_limit(self, limit_usd: float | None, spent_usd: float) -> None:
        """What is set and what was spent; a field that one is writing in is left alone."""
        limited = limit_usd is not None
        self.limited.setChecked(limited)
        self.amount.setEnabled(limited)
        if not self.amount.hasFocus():
            self.amount.setValue(limit_usd if limit_usd is not None else self._first)
        self.bar.setVisible(limited)
        if limit_usd is None:
            self.words.setText(self.tr("%1 spent").replace("%1", display.usd(spent_usd)))
            self.note.setText(self.tr("No limit is set."))
            return
        words = self.tr("%1 of %2 spent").replace("%1", display.usd(spent_usd))
        self.words.setText(words.replace("%2", display.usd(limit_usd)))
        ratio = min(spent_usd / limit_usd, 1.0) if limit_usd > 0 else 1.0
        self.bar.setValue(round(ratio * _STEPS))
        full = ratio >= 1.0
        if self.bar.property("full") != full:
            self.bar.setProperty("full", full)
            self.bar.style().unpolish(self.bar)
            self.bar.style().polish(self.bar)
        left = max(limit_usd - spent_usd, 0.0)
        self.note.setText(
            self.tr("Nothing more leaves until it is over, or until you raise it.")
            if full
            else self.tr("%1 left.").replace("%1", display.usd(left))
        )


class BudgetsView(QWidget):
    """Two limits, stored the moment they are set."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._gate = desk, desk.services.gate
        self._showing = False
        fonts = desk.themes.fonts
        self.day = LimitCard(desk, self.tr("Today"), _FIRST[0])
        self.month = LimitCard(desk, self.tr("This month"), _FIRST[1])
        self._trouble = label("", fonts.caption, "danger", wrap=True)
        self._trouble.hide()
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._pause.timeout.connect(self._store)
        for card in (self.day, self.month):
            card.limited.clicked.connect(self._store)
            card.amount.valueChanged.connect(self._typed)
        note = label(
            self.tr(
                "What running requests may cost at most counts as spent. A provider without prices is not asked while "
                "a limit is set. Team servers with prices of 0 break no budget."
            ),
            fonts.caption,
            "muted",
            wrap=True,
        )
        see = row(
            button(self.tr("See what was spent, request by request"), lambda: desk.go("gate/ledger"), "link"), None
        )
        inner = QWidget()
        inner.setMaximumWidth(grown(_WIDTH))
        title = label(self.tr("Spending limits"), fonts.title)
        inner.setLayout(column(title, self.day, self.month, self._trouble, note, see, None, spacing=2 * GRID))
        whole = row(inner, None)
        whole.setStretch(0, 1000)
        self.setLayout(whole)
        desk.bridge.budget_changed.connect(lambda _event: self.refresh())

    def enter(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        self._desk.bridge.call(self._gate.budget, self._show, self._failed, owner=self)

    def _show(self, budget: Budget) -> None:
        self._trouble.hide()
        self._showing = True
        self.day.show_limit(budget.day_usd, budget.spent_day_usd)
        self.month.show_limit(budget.month_usd, budget.spent_month_usd)
        self._showing = False

    def _typed(self) -> None:
        if not self._showing:
            self._pause.start()

    def _store(self) -> None:
        self._pause.stop()
        day, month = self.day.limit_usd, self.month.limit_usd
        self._desk.bridge.call(
            lambda: self._gate.set_budget(day, month), lambda _none: self.refresh(), self._failed, owner=self
        )

    def _failed(self, error: GatehouseError) -> None:
        self._trouble.setText(f"{error.sentence} {error.hint}".strip())
        self._trouble.show()
