"""One run of the window: shows it at once, brings the services up behind it, and leaves nothing running.

Order of a start: theme, window, log; then the services in their own thread; then the page.
What fails on the way is told on a page with the next steps. Wiring of services is ``app.bootstrap``'s.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QApplication, QWidget

from app.log import close_log, open_log
from app.paths import Paths
from app.services import Services
from app.settings import Settings, SettingsValues
from engine.errors import GatehouseError
from ui import crash
from ui.bridge import Bridge
from ui.desk import Action, Desk
from ui.garbage import GarbageKeeper
from ui.icons import Icons
from ui.instance import Claim, Instance, claim
from ui.locking import AppLock
from ui.page_spec import PageSpec
from ui.pages.fault import FaultPage
from ui.pages.unlock import UnlockPage
from ui.signals import SignalWatch
from ui.theme import ThemeStore
from ui.window import Window

if TYPE_CHECKING:
    from app.bootstrap import Product
    from app.vault.vault import Vault

log = logging.getLogger(__name__)

_LISTEN_MS = 400
"""When the window is up and has time for second starts."""


class Application(QObject):
    """Everything of one run. ``crashed`` may be emitted from any thread."""

    crashed = Signal(object)
    _built = Signal(object)
    _opened = Signal(object, object)

    def __init__(self, app: QApplication, paths: Paths, instance: Instance) -> None:
        super().__init__(app)
        self._app, self._paths, self._instance = app, paths, instance
        self._product: Product | None = None
        self.bridge: Bridge | None = None
        self._builder: threading.Thread | None = None
        self._warmer: threading.Thread | None = None
        values = _read_settings(paths)
        self.themes = ThemeStore(app, values.appearance)
        self.icons = Icons(self.themes)
        self.window = Window(page_specs(self._welcomed), self.themes, self.icons, values)
        self._welcome = not values.welcome_done
        self.crashed.connect(self._show_crash)
        self._built.connect(self._on_built)
        self._opened.connect(self._on_opened)
        instance.show_requested.connect(self.window.raise_to_front)

    def run(self, trouble: OSError | None = None) -> int:
        """Show the window, run Qt's loop, clean up."""
        handler = self._open_log() if trouble is None else None
        hooks = crash.ExceptionHooks(self.crashed.emit)
        qt_messages = crash.log_qt_messages()
        signals = SignalWatch(self.window.close)
        try:
            self.window.show()
            if trouble is None:
                self.build()
            else:
                self._show_start_fault(trouble)
            QTimer.singleShot(_LISTEN_MS, self._instance.listen)
            self._app.exec()
        finally:
            self.shut_down()
            signals.restore()
            qt_messages()
            hooks.restore()
            if handler is not None:
                close_log(handler)
        return 0

    def build(self, vault: Vault | None = None) -> None:
        """Bring the services up in a thread; the page follows when they are there. A store with a passphrase is asked
        for first."""

        def work() -> None:
            try:
                from app.vault.vault import Vault

                opened = vault if vault is not None else Vault(self._paths.database)
                if opened.needs_passphrase():
                    self._built.emit(opened)
                    return
                from app.bootstrap import build

                self._built.emit(build(self._paths, exclusive=True, vault=opened))
            except Exception as error:  # noqa: BLE001 - every failure becomes a page in Qt's thread
                self._built.emit(error)

        self._builder = threading.Thread(target=work, name="build", daemon=True)
        self._builder.start()

    @property
    def services(self) -> Services | None:
        """The services, once they are up."""
        return self._product.services if self._product is not None else None

    # the services are there, or not

    def _on_built(self, outcome: Product | Vault | Exception) -> None:
        if isinstance(outcome, Exception):
            self._show_start_fault(outcome)
            return
        from app.vault.vault import Vault

        if isinstance(outcome, Vault):
            self._ask_passphrase(outcome)
            return
        self._product = outcome
        self.bridge = Bridge(outcome.core, outcome.services.bus, self)
        self.bridge.crashed.connect(self._log_and_show)
        desk = Desk(
            outcome.services,
            self.bridge,
            self.themes,
            self.icons,
            self.window.notices,
            self._paths.data,
            self.window.go,
            self.window.open_place,
        )
        if self._welcome:
            self.window.go("welcome")
        self.window.mount(desk)
        AppLock(self.window, desk, self.themes, self.icons)
        GarbageKeeper(self.bridge, self)
        page = self.window.page(self.window.current)
        if page is not None:
            _UsableWatch(page)
        outcome.begin()

    def _ask_passphrase(self, vault: Vault) -> None:
        """The unlock page; Argon2id runs in a thread of its own, and the services follow."""

        def attempt(typed: str, failed: Callable[[GatehouseError], None]) -> None:
            def work() -> None:
                try:
                    vault.unlock(typed)
                    self._opened.emit(vault, failed)
                except Exception as error:  # noqa: BLE001 - every failure is told in Qt's thread
                    self._opened.emit(error, failed)

            self._builder = threading.Thread(target=work, name="unlock", daemon=True)
            self._builder.start()

        self.window.cover(UnlockPage(attempt, self.window.close, self.themes, self.icons))
        self._warmer = threading.Thread(target=_warm_up, name="warm-up", daemon=True)
        self._warmer.start()

    def _on_opened(self, outcome: Vault | Exception, failed: Callable[[GatehouseError], None]) -> None:
        if isinstance(outcome, GatehouseError):
            failed(outcome)
        elif isinstance(outcome, Exception):
            self.window.cover(None)
            self._show_start_fault(outcome)
        else:
            self.window.cover(None)
            self.build(outcome)

    def _welcomed(self) -> None:
        self._welcome = False
        self.window.go("chat")

    def shut_down(self) -> None:
        """End the services and the window; more than once is harmless."""
        self.window.hide()
        if self.bridge is not None:
            self.bridge.close()
        if self._warmer is not None:
            self._warmer.join()
        if self._builder is not None:
            self._builder.join()
            QCoreApplication.sendPostedEvents(self)
        if self._product is not None:
            try:
                self._product.close()
            except GatehouseError as error:
                log.error("closing: %s", error.code)
        self._instance.release()
        self.window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    # faults

    def _log_and_show(self, error: BaseException) -> None:
        log.error("%s", crash.describe(error))
        self._show_crash(error)

    def _show_crash(self, error: BaseException) -> None:
        keep = Action(self.tr("Continue"), lambda: self.window.show_fault(None))
        self._show_fault(
            self.tr("Something went wrong in Gatehouse"),
            self.tr("This is a fault of the program, not of yours. Your conversations are safe."),
            self.tr(
                "You can go on. If it happens again, the details below help to mend it; they hold none of your text."
            ),
            crash.describe(error),
            [keep, self._quit_action()],
        )

    def _show_start_fault(self, error: Exception) -> None:
        details = ""
        if isinstance(error, GatehouseError):
            sentence, hint = error.sentence, error.hint
        elif isinstance(error, OSError):
            sentence, hint = _folder_words(error, self._paths.data)
        else:
            log.error("%s", crash.describe(error))
            sentence = self.tr("A fault of the program kept it from starting. Your conversations are safe.")
            hint, details = (
                self.tr("The details below help to mend it; they hold none of your text."),
                crash.describe(error),
            )
        actions = [
            Action(self.tr("Try again"), self._try_again),
            Action(self.tr("Open the data folder"), self._open_folder),
            self._quit_action(),
        ]
        self._show_fault(self.tr("Gatehouse cannot start"), sentence, hint, details, actions)

    def _show_fault(self, title: str, sentence: str, hint: str, details: str, actions: list[Action]) -> None:
        self.window.show_fault(FaultPage(title, sentence, hint, details, actions, self.themes, self.icons))

    def _quit_action(self) -> Action:
        return Action(self.tr("Quit"), self.window.close)

    def _try_again(self) -> None:
        try:
            claimed = claim(self._paths, self._instance)
        except OSError as error:
            self._show_start_fault(error)
            return
        if claimed is not Claim.FIRST:
            self.window.close()
            return
        self.window.show_fault(None)
        self._instance.listen()
        self.build()

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._paths.data)))

    def _open_log(self) -> logging.Handler | None:
        try:
            return open_log(self._paths.log_file)
        except OSError:
            return None  # a folder without room still gets its window; the store says what is wrong


def page_specs(welcomed: Callable[[], None]) -> list[PageSpec]:
    """The pages of this version, in the rail's order."""

    def chat(desk: Desk) -> QWidget:
        from ui.pages.chat import ChatPage

        return ChatPage(desk)

    def documents(desk: Desk) -> QWidget:
        from ui.pages.documents.page import DocumentsPage

        return DocumentsPage(desk)

    def models(desk: Desk) -> QWidget:
        from ui.pages.models.page import ModelsPage

        return ModelsPage(desk)

    def gate(desk: Desk) -> QWidget:
        from ui.pages.gate.page import GatePage

        return GatePage(desk)

    def settings(desk: Desk) -> QWidget:
        from ui.pages.settings import SettingsPage

        return SettingsPage(desk)

    def welcome(desk: Desk) -> QWidget:
        from ui.pages.welcome import WelcomePage

        return WelcomePage(desk, welcomed)

    return [
        PageSpec("chat", _tr("Chat"), "message-square", chat, ahead=(("chat.new", _tr("New chat"), "plus"),)),
        PageSpec(
            "documents",
            _tr("Docs"),
            "file-text",
            documents,
            ahead=(
                ("documents.files", _tr("Read files…"), "file-plus"),
                ("documents.folder", _tr("Read a folder…"), "folder-open"),
            ),
        ),
        PageSpec(
            "models", _tr("Models"), "box", models, ahead=(("models.add", _tr("Add a model file…"), "file-plus"),)
        ),
        PageSpec(
            "gate",
            _tr("Gate"),
            "shield-check",
            gate,
            ahead=(
                ("gate.offline", _tr("Go offline, or online again"), "wifi-off"),
                ("gate.map", _tr("Gate: Overview"), "shield-check"),
                ("gate.ledger", _tr("Gate: Ledger"), "scroll-text"),
                ("gate.providers", _tr("Gate: Providers"), "cloud"),
                ("gate.labels", _tr("Gate: Labels"), "tag"),
                ("gate.detectors", _tr("Gate: Detectors"), "scan-text"),
                ("gate.budgets", _tr("Gate: Budgets"), "wallet"),
                ("gate.add", _tr("Add a provider…"), "plus"),
                ("gate.verify", _tr("Verify the ledger"), "shield-check"),
                ("gate.export", _tr("Export the ledger…"), "download"),
                ("gate.try", _tr("Try the detectors on a text"), "scan-text"),
            ),
        ),
        PageSpec(
            "settings",
            _tr("Set-up"),
            "settings",
            settings,
            ahead=(("data.open", _tr("Open the data folder"), "folder-open"),),
        ),
        PageSpec("welcome", _tr("Welcome"), "house", welcome, in_rail=False),
    ]


class _UsableWatch(QObject):
    """Logs the moment from which the page is painted and Qt waits for input; the start-up bench reads it."""

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        page.installEventFilter(self)
        self._page = page

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Paint:
            self._page.removeEventFilter(self)
            QTimer.singleShot(0, lambda: log.info("usable at %.3f", time.time()))
        return False


def _folder_words(error: OSError, folder: Path) -> tuple[str, str]:
    """What an error of the file system means for the data folder, and what can be done."""
    if error.errno == errno.ENOSPC:
        return _tr("The disk that holds %1 is full.").replace("%1", str(folder)), _tr(
            "Free some space, then try again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        sentence = _tr("Gatehouse may not write to its data folder %1.").replace("%1", str(folder))
        return sentence, _tr("Give yourself the right to write there, or choose another folder with --data-dir.")
    sentence = _tr("The data folder %1 cannot be used: %2.").replace("%1", str(folder))
    return sentence.replace("%2", error.strerror or type(error).__name__), _tr("Choose another folder with --data-dir.")


def _warm_up() -> None:
    """While the person types: what the first try needs is imported."""
    from app.vault.wrapping import warm_up

    warm_up()


def _read_settings(paths: Paths) -> SettingsValues:
    try:
        return Settings(paths.settings).values
    except OSError:
        return SettingsValues()


def _tr(text: str) -> str:
    return QCoreApplication.translate("application", text)
