"""Reports name the place and hold nothing that was typed."""

from __future__ import annotations

import logging
import sys
import threading

import pytest
from PySide6.QtCore import qWarning
from PySide6.QtWidgets import QApplication

from ui import crash

SECRET = "my secret prompt"


def _fail(text: str) -> None:
    raise ValueError(f"cannot use {text!r}")


def _caught(text: str) -> BaseException:
    try:
        try:
            _fail(text)
        except ValueError as error:
            raise RuntimeError(text) from error
    except RuntimeError as error:
        return error
    raise AssertionError


def test_a_report_has_places_and_kinds_but_no_text(qapp: QApplication) -> None:
    report = crash.describe(_caught(SECRET))
    assert "ValueError" in report
    assert "RuntimeError" in report
    assert report.index("ValueError") < report.index("RuntimeError")
    assert "ui/test_crash.py" in report
    assert "_fail" in report
    assert SECRET not in report


def test_messages_about_code_are_kept(qapp: QApplication) -> None:
    assert "'nothing'" in crash.describe(AttributeError("no attribute 'nothing'"))


def test_an_os_error_keeps_its_number_but_no_path(qapp: QApplication) -> None:
    report = crash.describe(OSError(28, "No space left on device", "/home/ada/diary"))
    assert "errno 28" in report
    assert "ada" not in report


def test_hooks_catch_threads_too_and_are_put_back() -> None:
    before, before_thread = sys.excepthook, threading.excepthook
    seen: list[BaseException] = []
    hooks = crash.ExceptionHooks(seen.append)
    thread = threading.Thread(target=_fail, args=(SECRET,))
    thread.start()
    thread.join()
    hooks.restore()
    assert [type(error) for error in seen] == [ValueError]
    assert (sys.excepthook, threading.excepthook) == (before, before_thread)


def test_qt_messages_go_to_the_log(qapp: QApplication, caplog: pytest.LogCaptureFixture) -> None:
    restore = crash.log_qt_messages()
    with caplog.at_level(logging.WARNING, "qt"):
        qWarning("something odd")
    restore()
    assert "something odd" in caplog.text
