"""The scenes of the Documents page."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from PySide6.QtWidgets import QWidget

from app.documents.records import Box
from app.gate.label import GateMode
from ui.desk import DocumentPlace
from ui.pages.chat import ChatPage
from ui.pages.documents.page import DocumentsPage
from ui.screenshots import sample, sample_chat
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
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "Receipts of April"
        folder.mkdir()
        _page(stage).offer([folder, Path(home) / "scan_0040.jpg"])
        stage.settle()
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


_QUESTION = "What do we owe the printer, and until when?"
_ANSWER = """You owe **814.56 €** for the posters and their delivery [1]. It is payable until 28 March 2025 [2]; the \
framework contract gives fourteen days for any invoice and allows no deduction [3]."""


def _chat(stage: Stage) -> ChatPage:
    shown = [sample_chat.message(1, "user", _QUESTION), sample_chat.message(2, "assistant", _ANSWER)]
    page = stage.letter([replace(message, conversation_id="c4") for message in shown], GateMode.LOCAL)
    stage.settle()
    return page


def _attached(stage: Stage) -> None:
    """Documents in a conversation in all states, and an answer with its sources."""
    page = _chat(stage)
    page.composer.set_draft("Which of the papers mention a cash discount?")


def _cited(stage: Stage) -> None:
    """What the second source of an answer opens."""
    _chat(stage)
    box = Box(380.0, 249.0, 540.0, 263.0)
    stage.window.open_place(DocumentPlace("d3", 1, (box,)))
    stage.settle()


def _no_model(stage: Stage) -> None:
    waits = "No model is loaded: the files wait for one."
    stage.documents.become(replace(stage.documents.items["b1"], waits_for=waits))
    stage.settle()


DOCUMENT_SCENES = (
    Scene("documents-first", _first, page="documents"),
    Scene("documents", _review, page="documents", papers=True),
    Scene("documents-table", _table, page="documents", papers=True),
    Scene("documents-schemas", _schemas, page="documents", papers=True),
    Scene("documents-drop", _drop, page="documents", papers=True),
    Scene("documents-failed", _failed, page="documents", papers=True),
    Scene("documents-locked", _locked, page="documents", papers=True),
    Scene("documents-no-model", _no_model, page="documents", papers=True, loaded=sample.UNLOADED),
    Scene("documents-cited", _cited, papers=True),
    Scene("chat-documents", _attached, papers=True),
    Scene("documents-narrow", _review, page="documents", papers=True, width=1024),
)
