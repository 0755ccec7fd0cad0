"""The scenes: how to bring the window into each state that a picture shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.chat.records import MessageStatus
from app.events import AnswerGrew, ConversationChanged
from app.gate.label import GateMode, Label
from app.models.records import Download, LoadedModel
from engine.errors import HubError, VaultError
from engine.fit.plan import Wish
from ui.desk import Action
from ui.pages.fault import FaultPage
from ui.screenshots import sample, sample_chat, sample_hub
from ui.screenshots.stage import Stage


@dataclass(frozen=True, slots=True)
class Scene:
    """``arrange`` runs with the window shown and the wanted page mounted."""

    name: str
    arrange: Callable[[Stage], None]
    page: str = "chat"
    loaded: LoadedModel = sample.READY
    conversations: bool = True
    downloads: Callable[[], Sequence[Download]] | None = None
    furnished: bool = False
    """Whether the gate has been in use: providers, a ledger, a glossary, budgets."""
    papers: bool = False
    """Whether there are batches of documents."""
    width: int = 1280


def _nothing(stage: Stage) -> None:
    """The page as it opens."""


def _open_chat(stage: Stage) -> None:
    for key, mode in (("c3", GateMode.ASK), ("c4", GateMode.OPEN)):
        stage.chat.items[key] = replace(stage.chat.items[key], gate=mode)
        stage.publish(ConversationChanged(stage.chat.items[key]))
    stage.open_conversation("c2")


def _streaming(stage: Stage) -> None:
    cut = sample_chat.TABLE_ANSWER[: sample_chat.TABLE_ANSWER.index("How the two")].rstrip()
    head = cut[: cut.index("    target")]
    stage.chat.messages = [
        sample_chat.message(1, "user", sample_chat.TABLE_QUESTION),
        sample_chat.message(2, "assistant", head, MessageStatus.STREAMING, stats=None),
    ]
    stage.open_conversation("c2")
    stage.publish(AnswerGrew("c2", "m2", cut[len(head) :], "", len(head)))
    stage.settle()


def _interrupted(stage: Stage) -> None:
    cut = sample_chat.TABLE_ANSWER[: sample_chat.TABLE_ANSWER.index("How the two")].rstrip()
    stage.chat.messages = [
        sample_chat.message(1, "user", sample_chat.TABLE_QUESTION),
        sample_chat.message(
            2,
            "assistant",
            cut,
            MessageStatus.INTERRUPTED,
            error="The model's process was ended by the system; the text so far was kept.",
        ),
    ]
    stage.open_conversation("c2")


def _search(stage: Stage) -> None:
    stage.open_conversation("c2")
    stage.press("find_everywhere")
    stage.type("heat")


def _undo(stage: Stage) -> None:
    stage.open_conversation("c2")
    stage.run(stage.chat.delete("c9"))
    stage.settle()


def _palette(stage: Stage) -> None:
    stage.open_conversation("c2")
    stage.window.palette_.open(stage.window.commands())
    stage.settle()


def _models(stage: Stage) -> None:
    stage.select_model(sample.FOUR_B.id)


def _misfit(stage: Stage) -> None:
    stage.select_model(sample.MOE.id)
    stage.set_context(131072)


def _loading(stage: Stage) -> None:
    stage.select_model(sample.MOE.id)


def _failed(stage: Stage) -> None:
    stage.select_model(sample.MOE.id)
    stage.click("Details")


def _broken(stage: Stage) -> None:
    stage.select_model(sample.BROKEN.id)


def _removed(stage: Stage) -> None:
    stage.select_model(sample.MOE.id)
    stage.models_page().detail.remove_button.click()
    stage.settle()


def _experts(stage: Stage) -> None:
    stage.select_model(sample.MOE.id)
    stage.models_page().detail.experts.watch.click()
    stage.settle()
    stage.show_end_of_details()


def _moe(stage: Stage) -> None:
    stage.select_model(sample.MOE.id)


def _catalogue(stage: Stage) -> None:
    stage.models_list("catalogue")
    stage.select_model("qwen3-30b-a3b-2507")


def _search_models(stage: Stage) -> None:
    stage.models_list("hub")
    stage.models_page().lists.search.field.setText("qwen3")
    stage.models_page().lists.search.button.click()
    stage.settle()


def _search_first(stage: Stage) -> None:
    stage.models_list("hub")


def _offline(stage: Stage) -> None:
    stage.hub.trouble = HubError(
        "unreachable", "huggingface.co cannot be reached.", "Check the network, the proxy or the mirror."
    )
    _search_models(stage)


def _remote_plan(stage: Stage) -> None:
    _search_models(stage)
    stage.models_page().offer.plan_button.click()
    stage.settle()


def _gated(stage: Stage) -> None:
    _search_models(stage)
    stage.select_model("example-lab/Qwen3-32B-Medical-GGUF")
    stage.hub.trouble = HubError(
        "gated",
        "example-lab/Qwen3-32B-Medical-GGUF is given out only to those who agreed to its terms.",
        "Open its page on huggingface.co, agree, and give Gatehouse a token of that account.",
    )
    stage.models_page().offer.download_button.click()
    stage.settle()


def _locked(stage: Stage) -> None:
    stage.open_conversation("c2")
    stage.lock()


def _wrong_passphrase(stage: Stage) -> None:
    _locked(stage)
    page = stage.unlock_page()
    page.failed(
        VaultError(
            "wrong_passphrase",
            "This is not the passphrase. The next try is possible in 4 s.",
            "Nothing is lost. The recovery code opens the store too.",
            wait_s=4.0,
        )
    )
    stage.settle()


def _store(stage: Stage) -> None:
    stage.show_store()


def _store_plain(stage: Stage) -> None:
    stage.show_store(plain=True).choose.click()
    stage.settle()


def _recovery_code(stage: Stage) -> None:
    stage.show_store().renew.click()
    stage.settle()


def _retention(stage: Stage) -> None:
    stage.store.keep.update({Label.CONFIDENTIAL: 180, Label.RESTRICTED: 30, Label.INTERNAL: 365})
    stage.store.tombstones = 17
    stage.show_retention()


def _error(stage: Stage) -> None:
    actions = [Action(words, lambda: None) for words in ("Try again", "Open the data folder", "Quit")]
    page = FaultPage(
        "Gatehouse cannot start",
        "The conversations were written by Gatehouse 0.4 (schema 9); this is Gatehouse 0.1 (schema 3).",
        "Install the newer version again, or start with another folder: gatehouse --data-dir FOLDER.",
        "",
        actions,
        stage.themes,
        stage.icons,
    )
    stage.window.show_fault(page)


def _crash(stage: Stage) -> None:
    details = (
        "Gatehouse 0.1.0 · Python 3.12.3 · Qt 6.11.3 · Linux-6.12-x86_64\n\n"
        "  pages/models/detail.py:214 _show_plan\n"
        "  ui/memory.py:58 plan_segments\n"
        "AttributeError: 'NoneType' object has no attribute 'total_bytes'"
    )
    page = FaultPage(
        "Something went wrong in Gatehouse",
        "This is a fault of the program, not of yours. Your conversations are safe.",
        "You can go on. If it happens again, the details below help to mend it; they hold none of your text.",
        details,
        [Action("Continue", lambda: None), Action("Quit", lambda: None)],
        stage.themes,
        stage.icons,
    )
    stage.window.show_fault(page)


_STARTER = replace(sample.READY, model_id=sample.SMALL.id, plan=sample.plan(sample.SMALL, Wish(n_ctx=8192)))
_MOE_READY = replace(sample.READY, model_id=sample.MOE.id, plan=sample.plan(sample.MOE))

SCENES = (
    Scene("welcome", _nothing, page="welcome", loaded=sample.UNLOADED, conversations=False),
    Scene("chat-first", _nothing, loaded=_STARTER, conversations=False),
    Scene("chat", _open_chat),
    Scene("chat-streaming", _streaming),
    Scene("chat-interrupted", _interrupted),
    Scene("chat-search", _search),
    Scene("chat-undo", _undo),
    Scene("palette", _palette),
    Scene("models", _models, page="models"),
    Scene("models-misfit", _misfit, page="models", loaded=sample.UNLOADED),
    Scene("models-loading", _loading, page="models", loaded=sample.LOADING),
    Scene("models-failed", _failed, page="models", loaded=sample.FAILED),
    Scene("models-damaged", _broken, page="models"),
    Scene("models-removed", _removed, page="models"),
    Scene("models-moe", _moe, page="models", loaded=_MOE_READY),
    Scene("models-experts", _experts, page="models", loaded=_MOE_READY),
    Scene("models-catalogue", _catalogue, page="models"),
    Scene("models-search", _search_first, page="models"),
    Scene("models-search-offline", _offline, page="models"),
    Scene("models-remote-plan", _remote_plan, page="models", loaded=sample.UNLOADED),
    Scene("models-gated", _gated, page="models"),
    Scene("models-downloads", _models, page="models", downloads=sample_hub.downloads),
    Scene("settings", _nothing, page="settings"),
    Scene("settings-store", _store, page="settings"),
    Scene("settings-store-plain", _store_plain, page="settings"),
    Scene("settings-retention", _retention, page="settings"),
    Scene("settings-recovery-code", _recovery_code, page="settings"),
    Scene("locked", _locked),
    Scene("locked-wrong", _wrong_passphrase),
    Scene("error", _error),
    Scene("crash", _crash),
)
