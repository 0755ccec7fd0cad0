"""The scenes of the Documents page."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QWidget

from ui.pages.documents.page import DocumentsPage
from ui.screenshots.scenes import Scene
from ui.screenshots.stage import Stage


def _page(stage: Stage) -> DocumentsPage:
    page: QWidget | None = stage.window.page("documents")
    assert isinstance(page, DocumentsPage)
    return page


def _review(stage: Stage) -> None:
    _page(stage).queue.choose_file("f3")
    stage.settle()


def _first(stage: Stage) -> None:
    """The page before anything was read."""


def _drop(stage: Stage) -> None:
    _page(stage).offer([Path("/tmp"), Path("/home/ada/scan_0040.jpg")])
    stage.settle()


def _failed(stage: Stage) -> None:
    _page(stage).queue.choose_file("f6")
    stage.settle()


def _locked(stage: Stage) -> None:
    _page(stage).queue.choose_file("f7")
    stage.settle()


def _table(stage: Stage) -> None:
    _page(stage).go("table")
    stage.settle()


def _schemas(stage: Stage) -> None:
    _page(stage).go("schemas")
    stage.settle()


DOCUMENT_SCENES = (
    Scene("documents-first", _first, page="documents"),
    Scene("documents", _review, page="documents", papers=True),
    Scene("documents-table", _table, page="documents", papers=True),
    Scene("documents-schemas", _schemas, page="documents", papers=True),
    Scene("documents-drop", _drop, page="documents", papers=True),
    Scene("documents-failed", _failed, page="documents", papers=True),
    Scene("documents-locked", _locked, page="documents", papers=True),
    Scene("documents-narrow", _review, page="documents", papers=True, width=1024),
)
