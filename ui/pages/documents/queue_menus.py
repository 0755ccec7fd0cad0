"""What can be done with a batch or a file of the queue, as menus. The queue itself shows them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from app.documents.api import DocumentsApi
from app.documents.batch_records import Batch, BatchFile, BatchState, FileState
from ui.icons import Icons

Ask = Callable[[Callable[[], Coroutine[Any, Any, object]]], None]
"""Runs what a documents service is asked."""


def batch_menu(owner: QWidget, batch: Batch, last: bool, documents: DocumentsApi, icons: Icons, ask: Ask) -> QMenu:
    """``last``: no batch stands behind it."""
    menu = _menu(owner)

    def add(icon: str, words: str, make: Callable[[], Coroutine[Any, Any, object]], possible: bool = True) -> None:
        menu.addAction(icons.icon(icon), words, lambda: ask(make)).setEnabled(possible)

    if batch.state is BatchState.RUNNING:
        add("pause", _tr("Pause"), lambda: documents.pause(batch.id))
    elif batch.state is BatchState.PAUSED:
        add("play", _tr("Resume"), lambda: documents.resume(batch.id))
    again = batch.counts.failed + batch.counts.cancelled
    add("refresh-cw", _tr("Try failed files again"), lambda: documents.retry(batch.id), possible=bool(again))
    add("arrow-up", _tr("Work on this first"), lambda: documents.move(batch.id, 0), possible=batch.position > 0)
    later = batch.position + 1
    add("arrow-down", _tr("Work on this later"), lambda: documents.move(batch.id, later), possible=not last)
    if batch.state in (BatchState.RUNNING, BatchState.PAUSED):
        add("x", _tr("Cancel"), lambda: documents.cancel(batch.id))
    menu.addSeparator()
    menu.addAction(icons.icon("file-plus"), _tr("Add files…"), partial(_add_files, owner, batch.id, documents, ask))
    menu.addAction(icons.icon("folder-open"), _tr("Watch a folder…"), partial(_watch, owner, batch.id, documents, ask))
    for folder in batch.watched:
        words = _tr("Stop watching %1").replace("%1", folder.name or str(folder))
        add("eye-off", words, partial(documents.watch, batch.id, folder, False))
    menu.addSeparator()
    add("trash-2", _tr("Remove"), lambda: documents.remove(batch.id))
    return menu


def file_menu(owner: QWidget, file: BatchFile, documents: DocumentsApi, icons: Icons, ask: Ask) -> QMenu:
    """Of one file."""
    menu = _menu(owner)
    again = menu.addAction(
        icons.icon("refresh-cw"),
        _tr("Extract again"),
        lambda: ask(lambda: documents.retry(file.batch_id, (file.id,))),
    )
    again.setEnabled(file.state.is_ended)
    first = menu.addAction(
        icons.icon("arrow-up"), _tr("Take this next"), lambda: ask(lambda: documents.move_file(file.id, 0))
    )
    first.setEnabled(file.state is FileState.WAITING)
    return menu


def _menu(owner: QWidget) -> QMenu:
    menu = QMenu(owner)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    return menu


def _add_files(owner: QWidget, batch_id: str, documents: DocumentsApi, ask: Ask) -> None:
    dialog = QFileDialog(owner, _tr("Documents to read"))
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.filesSelected.connect(lambda names: ask(lambda: documents.add(batch_id, [Path(name) for name in names])))
    dialog.open()


def _watch(owner: QWidget, batch_id: str, documents: DocumentsApi, ask: Ask) -> None:
    dialog = QFileDialog(owner, _tr("Folder to watch"))
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(lambda name: ask(lambda: documents.watch(batch_id, Path(name))))
    dialog.open()


def _tr(words: str) -> str:
    return QCoreApplication.translate("QueueView", words)
