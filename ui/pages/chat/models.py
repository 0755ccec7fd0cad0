"""The model that answers, as the Chat page shows it: picker, banner, empty page and the line of a waiting answer."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from app.events import LoadedModelChanged
from app.models.records import LoadedModel, ModelCard
from engine.errors import GatehouseError
from engine.fit.plan import Wish
from engine.worker.spec import Ready
from ui.desk import Desk
from ui.pages.chat.banner import Banner
from ui.pages.chat.empty import EmptyChat
from ui.pages.chat.errands import Errands
from ui.pages.chat.model_words import trouble_of, waiting_of
from ui.widgets.composer import Composer
from ui.widgets.transcript import Transcript

_SMALL_PARAMETERS = 1_000_000_000
"""Below this one can try things out, but hardly work."""


class ChatModels(QObject):
    """One for the page; ``start`` reads what there is."""

    became_ready = Signal()

    def __init__(
        self, desk: Desk, errands: Errands, composer: Composer, banner: Banner, empty: EmptyChat, transcript: Transcript
    ) -> None:
        super().__init__(composer)
        self._desk, self._errands, self._models = desk, errands, desk.services.models
        self._picker, self._banner, self._empty, self._transcript = composer.picker, banner, empty, transcript
        self._cards: tuple[ModelCard, ...] | None = None
        self._loaded = LoadedModel(None, None, None, None)
        self._picker.chosen.connect(self._load)
        self._picker.manage_wanted.connect(lambda: desk.go("models"))
        banner.step_wanted.connect(self._take_step)
        empty.larger_wanted.connect(lambda: desk.go("models/catalogue"))
        desk.bridge.loaded_model_changed.connect(self._loaded_changed)
        desk.bridge.models_changed.connect(lambda _event: errands.list_models(self._show_models))

    def start(self) -> None:
        self._show_loaded(self._models.loaded())
        self._errands.list_models(self._show_models)

    def _loaded_changed(self, event: LoadedModelChanged) -> None:
        self._show_loaded(event.loaded)

    def _show_models(self, cards: Sequence[ModelCard]) -> None:
        self._cards = tuple(cards)
        self._picker.show_models(cards)
        self._transcript.set_model_names({card.id: card.name for card in cards})
        self._show_loaded(self._loaded)

    def _show_loaded(self, loaded: LoadedModel) -> None:
        was_ready = isinstance(self._loaded.state, Ready)
        self._loaded = loaded
        self._picker.show_loaded(loaded)
        name = self._picker.name_of(loaded.model_id)
        usable = self._cards is None or any(not card.fault and card.output == "text" for card in self._cards)
        self._banner.show_trouble(trouble_of(loaded, any_model=usable))
        self._empty.show_note(name, small=self._is_small(loaded.model_id))
        self._transcript.set_waiting(waiting_of(loaded, name))
        if isinstance(loaded.state, Ready) and not was_ready:
            self.became_ready.emit()

    def _is_small(self, model_id: str | None) -> bool:
        card = next((card for card in self._cards or () if card.id == model_id), None)
        return card is not None and card.parameters is not None and card.parameters < _SMALL_PARAMETERS

    def _load(self, model_id: str, wish: Wish | None = None) -> None:
        def refused(error: GatehouseError) -> None:
            if trouble_of(self._models.loaded(), any_model=True) is None:
                self._desk.notices.show("error", error.sentence, error.hint)

        self._errands.load(model_id, wish, refused)

    def _take_step(self, step: str, n_ctx: object) -> None:
        """The banner's: a smaller context, once more, or the Models page."""
        model_id = self._loaded.model_id
        if step == "models" or model_id is None:
            self._desk.go("models")
        else:
            self._load(model_id, Wish(n_ctx=n_ctx) if isinstance(n_ctx, int) else None)
