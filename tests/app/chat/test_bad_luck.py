"""The app killed with -9 in mid-answer, and a disk that fills up, each in a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app.bus import Bus
from app.chat.records import MessageStatus
from app.chat.saver import SAVE_EVERY_S
from app.chat.service import LEFT_BEHIND, ChatService
from app.lanes import StoreLane
from app.paths import Paths
from app.settings import Settings
from app.store import driver, messages
from tests.app.chat.doubles import ReadyHost, ScriptedProvider


def test_saving_keeps_the_promised_second() -> None:
    assert SAVE_EVERY_S <= 0.8


def _text_in(database: Path, message_id: str) -> str:
    with closing(driver.connect(database, timeout=10)) as connection:
        return str(connection.execute("SELECT text FROM messages WHERE id = ?", (message_id,)).fetchone()[0])


async def test_killed_app_loses_no_saved_text(lane: StoreLane, paths: Paths) -> None:
    command = [sys.executable, "-m", "tests.app.chat.streaming_child", str(paths.database)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - nothing else runs here
    assert child.stdout is not None
    try:
        answer_id = child.stdout.readline().strip()
        seen, said = "", 0
        while len(seen) < 200:  # two or three saves
            said = int(child.stdout.readline())
            seen = _text_in(paths.database, answer_id) if said % 150 == 0 else seen
    finally:
        child.kill()
        child.wait(10)
        child.stdout.close()
    chat = ChatService(lane, Bus(), ReadyHost(), ScriptedProvider(), Settings(paths.settings))
    assert await chat.recover() == 1
    (conversation,) = await chat.conversations()
    question, answer = (await chat.open(conversation.id)).messages
    assert question.text == "A question that must not be lost"
    assert answer.text.startswith(seen)
    assert answer.text == "".join(f"word {at:09d} " for at in range(0, len(answer.text), 15))
    assert (answer.status, answer.error) == (MessageStatus.INTERRUPTED, LEFT_BEHIND)
    hits = await chat.search("word lost")
    assert [hit.message_id for hit in hits] == []
    assert {hit.message_id for hit in await chat.search("word")} == {answer.id}
    fault = await lane.read(lambda connection: connection.execute("PRAGMA integrity_check").fetchone()[0])
    assert fault == "ok"
    assert (await lane.read(lambda connection: messages.get(connection, answer.id))).text == answer.text


def _small_disk(folder: Path, command: list[str]) -> list[str]:
    """The command, run with a 3 MB file system of its own on ``folder``."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = 'mount -t tmpfs -o size=3m tmpfs "$0" || exit 77; exec "$@"'
    return ["unshare", *user, "--mount", "sh", "-c", script, str(folder), *command]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives a process a file system of its own")
def test_full_disk_loses_nothing_and_says_so_once(tmp_path: Path) -> None:
    command = _small_disk(tmp_path, [sys.executable, "-m", "tests.app.chat.full_disk_child", str(tmp_path)])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this machine forbids small file systems: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "notices": ["disk_full"],
        "shown_whole": True,
        "stored_when_full": 0,
        "second_message": "disk_full",
        "stored_whole": True,
        "status": "complete",
        "integrity": "ok",
    }
