"""The table of a batch in another order, and rules as they are written."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.extraction.schema import Rule, RuleKind
from ui.models.results import ResultsModel
from ui.models.rules import rule_of, rule_words
from ui.screenshots import sample_documents

DOWN, UP = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder


@pytest.fixture
def table(qtbot: QtBot) -> ResultsModel:
    shelf = sample_documents.shelf()
    model = ResultsModel()
    model.show_files(shelf.files, sample_documents.INVOICE)
    for result in shelf.results.values():
        model.show_result(result)
    return model


def _names(table: ResultsModel) -> list[str]:
    return [str(table.index(row, 0).data())[:3] for row in range(table.rowCount())]


def _column(table: ResultsModel, words: str) -> int:
    heads = [table.headerData(at, Qt.Orientation.Horizontal) for at in range(table.columnCount())]
    return heads.index(words)


def test_amounts_are_sorted_as_numbers_and_a_cell_still_opens_its_own_file(table: ResultsModel) -> None:
    total = _column(table, "Total")
    table.sort(total, UP)
    assert _names(table) == ["sca", "Bah", "Nor", "Als"]  # 57.20, 386.40, 684.50, 1249.00
    found = table.place(table.index(3, total))
    assert found is not None
    assert found[0].name.startswith("Alster")
    table.sort(-1)
    assert _names(table) == ["Als", "Bah", "Nor", "sca"]


def test_files_without_the_value_come_last_whichever_way_round(table: ResultsModel) -> None:
    due = _column(table, "Due")
    for order, first in ((UP, ["Als", "Nor"]), (DOWN, ["Nor", "Als"])):
        table.sort(due, order)
        assert _names(table) == [*first, "Bah", "sca"]


def test_the_order_stays_while_files_join(table: ResultsModel) -> None:
    table.sort(0, DOWN)
    table.show_files(sample_documents.shelf().files, sample_documents.INVOICE)
    assert _names(table) == ["sca", "Nor", "Bah", "Als"]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("lines.amount + vat = total", Rule(RuleKind.SUM, ("lines.amount", "vat"), "total")),
        ("lines.quantity × lines.price = lines.amount ± 0.01", None),
        ("issued ≤ due", Rule(RuleKind.ORDER, ("issued", "due"))),
    ],
)
def test_a_rule_is_read_as_it_is_written(words: str, rule: Rule | None) -> None:
    read = rule_of(words)
    assert read is not None
    assert rule_words(read) == words
    if rule is not None:
        assert read == rule


def test_other_ways_to_write_a_rule() -> None:
    assert rule_of("a*b=c") == Rule(RuleKind.PRODUCT, ("a", "b"), "c")
    assert rule_of(" issued<=due <= paid ") == Rule(RuleKind.ORDER, ("issued", "due", "paid"))
    assert rule_of("net + vat = total +- 1") == Rule(RuleKind.SUM, ("net", "vat"), "total", "1")


@pytest.mark.parametrize("words", ["total", "a + = b", "a ≤", "= total", "a + b = c = d", "a + 3 = c", "drop table x"])
def test_what_says_no_rule_is_none(words: str) -> None:
    assert rule_of(words) is None
