"""The line above the table: a field for words, and what a model must be like to be seen."""

from __future__ import annotations

from typing import cast, get_args

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QSizePolicy, QWidget

from app.models.offers import Query
from engine.hub.catalogue import Task
from ui.models.rows import SIZES, Filters, Fit, KindWish
from ui.theme import GRID, grown
from ui.widgets.parts import row

_FIELD_LEAST, _BOX_LEAST = 12 * GRID, 12 * GRID
_PARAMETERS = ((0, 4_000_000_000), (4_000_000_000, 10_000_000_000), (10_000_000_000, 36_000_000_000))
"""Classes of a search on a hub, which knows parameters but no sizes of files."""
_HUB_TASKS = (
    ("text-generation", "Text"),
    ("image-text-to-text", "Text and images"),
    ("feature-extraction", "Embedding"),
)


class FilterLine(QWidget):
    """``changed`` follows each choice. Which boxes are there depends on the list."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.field = QLineEdit()
        self.field.setClearButtonEnabled(True)
        self.field.setMinimumWidth(grown(_FIELD_LEAST))
        self.field.textChanged.connect(lambda _text: self.changed.emit())
        tasks = [(task, task.capitalize()) for task in get_args(Task)]
        self.task = self._box(self.tr("Task"), [("", self.tr("Task")), *tasks])
        self.hub_task = self._box(self.tr("Task"), [("", self.tr("Task")), *_HUB_TASKS])
        kinds = [("dense", self.tr("Dense")), ("moe", self.tr("MoE")), ("embedding", self.tr("Embedding"))]
        self.kind = self._box(self.tr("Kind"), [("", self.tr("Kind")), *kinds])
        self.size_box = self._box(
            self.tr("Size"),
            [
                ("", self.tr("Size")),
                ("0", self.tr("Below 4 GB")),
                ("1", self.tr("4 to 10 GB")),
                ("2", self.tr("10 to 24 GB")),
                ("3", self.tr("24 GB and more")),
            ],
        )
        self.parameters = self._box(
            self.tr("Size"),
            [
                ("", self.tr("Size")),
                ("0", self.tr("Below 4 B")),
                ("1", self.tr("4 to 10 B")),
                ("2", self.tr("10 to 36 B")),
                ("3", self.tr("36 B and more")),
            ],
        )
        self.licence = self._box(
            self.tr("Licence"),
            [("", self.tr("Licence")), ("free", self.tr("Permissive")), ("terms", self.tr("With terms"))],
        )
        self.fit = self._box(
            self.tr("Fit"), [("", self.tr("Fit")), ("runs", self.tr("Fits here")), ("not", self.tr("Too large"))]
        )
        boxes = (self.task, self.hub_task, self.kind, self.size_box, self.parameters, self.licence, self.fit)
        line = row(self.field, *boxes, spacing=GRID)
        line.setStretch(0, 1)
        self.setLayout(line)
        # What is left out first where there is little room.
        self._order = (self.fit, self.size_box, self.parameters, self.task, self.hub_task, self.kind, self.licence)
        self._of = {
            "here": {self.kind, self.size_box, self.licence, self.fit},
            "catalogue": {self.task, self.kind, self.size_box, self.licence, self.fit},
            "hub": {self.hub_task, self.parameters, self.licence},
        }
        self._place = "here"
        self.show_for("here")

    def show_for(self, place: str) -> None:
        """``here``, ``catalogue`` or ``hub``."""
        self.field.setVisible(place != "hub")
        self.field.setPlaceholderText(self.tr("Filter"))
        self.field.setAccessibleName(self.tr("Filter models"))
        self._place = place
        self._make_room()

    def filters(self) -> Filters:
        """What is to be seen of the list."""
        licence = self.licence.currentData()
        if self._place == "hub":
            return Filters(licence=licence)
        return Filters(
            words=tuple(self.field.text().casefold().split()),
            task=self.task.currentData() if self._place == "catalogue" else "",
            kind=cast("KindWish", self.kind.currentData()),
            size=_place(self.size_box, len(SIZES)),
            licence=licence,
            fit=cast("Fit", self.fit.currentData()),
        )

    def query(self, words: str) -> Query:
        """What to ask a hub for."""
        place = _place(self.parameters, len(_PARAMETERS) + 1)
        least, most = None, None
        if place is not None:
            least, most = _PARAMETERS[place] if place < len(_PARAMETERS) else (_PARAMETERS[-1][1], None)
        return Query(
            words=words.strip(),
            task=self.hub_task.currentData(),
            least_parameters=least or None,
            most_parameters=most,
        )

    def resizeEvent(self, event: object) -> None:
        self._make_room()

    def minimumSizeHint(self) -> QSize:
        return QSize(grown(_FIELD_LEAST), self.field.minimumSizeHint().height())

    def _make_room(self) -> None:
        """As many boxes as there is room for; one that leaves something out stays."""
        room = self.width() - (grown(_FIELD_LEAST) if self._place != "hub" else 0)
        for box in self._order:
            fits = room >= grown(_BOX_LEAST) + GRID or box.currentIndex() > 0
            shown = box in self._of[self._place] and fits
            box.setVisible(shown)
            room -= grown(_BOX_LEAST) + GRID if shown else 0

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return self.filters() != Filters()

    def clear(self) -> None:
        """See everything."""
        for box in (self.task, self.kind, self.size_box, self.licence, self.fit):
            box.setCurrentIndex(0)
        self.field.clear()

    def _box(self, name: str, choices: list[tuple[str, str]]) -> QComboBox:
        made = QComboBox()
        made.setAccessibleName(name)
        for key, words in choices:
            made.addItem(words, key)
        made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        made.setMinimumContentsLength(3)
        made.setMinimumWidth(grown(_BOX_LEAST))
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.currentIndexChanged.connect(lambda _place: self.changed.emit())
        return made


def _place(box: QComboBox, count: int) -> int | None:
    key = box.currentData()
    return int(key) if key and int(key) < count else None
