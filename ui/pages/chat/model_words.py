"""What the model's state means for the person who wants an answer: what is in the way, or waited for.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication

from app.models.records import LoadedModel
from engine.worker.spec import Failed, Loading, Ready, Starting
from ui import display
from ui.widgets.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a banner says. ``step`` is a key of ``Banner.step_wanted``."""

    kind: str
    sentence: str
    hint: str
    step: str
    step_words: str
    n_ctx: int | None = None


def trouble_of(loaded: LoadedModel, any_model: bool) -> Trouble | None:
    """What stands between the person and an answer; ``None`` when nothing does. Pure."""
    if loaded.misfit is not None:
        misfit = loaded.misfit
        if misfit.offered_n_ctx is not None:
            words = _tr("Load with %1 of context").replace("%1", display.tokens(misfit.offered_n_ctx))
            return Trouble("warning", misfit.sentence, misfit.hint, "smaller", words, misfit.offered_n_ctx)
        return Trouble("warning", misfit.sentence, misfit.hint, "models", _tr("Choose a model"))
    if isinstance(loaded.state, Failed):
        return Trouble("danger", loaded.state.sentence, loaded.state.hint, "again", _tr("Load again"))
    if not any_model:
        words = _tr("There is no model on this machine yet.")
        return Trouble("card", words, _tr("Add a file or use the starter model."), "models", _tr("Go to Models"))
    return None


def waiting_of(loaded: LoadedModel, model: str) -> Waiting:
    """Why an answer that was asked for is not there yet."""
    state = loaded.state
    if isinstance(state, Ready):
        return Waiting(_tr("Reading your message"))
    if isinstance(state, Loading):
        return Waiting(_tr("Loading %1").replace("%1", model), state.progress_ratio)
    if isinstance(state, Starting):
        return Waiting(_tr("Starting %1").replace("%1", model))
    return Waiting(_tr("Getting the model ready"))


def _tr(text: str) -> str:
    return QCoreApplication.translate("model", text)
