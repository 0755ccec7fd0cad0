"""A chat on a disk that fills up and is freed again; prints what happened as JSON: ``python -m … FOLDER``.

The folder is a small file system of its own, made by the test that starts this.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from app.bus import Bus
from app.chat.service import ChatService
from app.events import AnswerFinished, Event, NoticeRaised
from app.lanes import StoreLane
from app.settings import Settings
from app.store import messages
from engine.errors import StoreError
from tests.app.chat.doubles import ReadyHost, ScriptedProvider

# Without spaces: the double counts a token a word, and the context is not what this is about.
_ANSWER = "".join(f"Sentence-{number:05d}-is-long-enough-to-need-room-on-the-disk." for number in range(4000))


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(4096))
        except OSError:
            return


async def main(folder: Path) -> dict[str, object]:
    database, filler = folder / "gatehouse.db", folder / "filler"
    provider, bus, lane = ScriptedProvider(), Bus(), StoreLane(database)
    heard: list[Event] = []
    news = asyncio.Event()

    def listen(event: Event) -> None:
        heard.append(event)
        news.set()

    bus.subscribe(listen)
    chat = ChatService(lane, bus, ReadyHost(), provider, Settings(folder / "settings.json"))
    answer_id = await chat.send(None, "A question")
    script = await provider.script(0)
    _fill(filler)
    script.say(_ANSWER)
    script.end()
    async with asyncio.timeout(30):
        while not any(isinstance(event, AnswerFinished) for event in heard):
            news.clear()
            await news.wait()
    message = next(event.message for event in heard if isinstance(event, AnswerFinished))
    opened = (await chat.open(message.conversation_id)).messages[-1]
    try:
        await chat.send(message.conversation_id, "Another-question-" * 4000)
        refused = ""
    except StoreError as error:
        refused = error.code
    stored_when_full = len((await lane.read(lambda c: messages.get(c, answer_id))).text)
    filler.unlink()
    async with asyncio.timeout(30):
        while chat._saver.unsaved:  # noqa: ASYNC110 - saving is silent
            await asyncio.sleep(0.05)
    await chat.close()
    stored = await lane.read(lambda c: messages.get(c, answer_id))
    fault = await lane.read(lambda c: str(c.execute("PRAGMA integrity_check").fetchone()[0]))
    lane.close()
    return {
        "notices": [event.code for event in heard if isinstance(event, NoticeRaised)],
        "shown_whole": opened.text == _ANSWER,
        "stored_when_full": stored_when_full,
        "second_message": refused,
        "stored_whole": stored.text == _ANSWER,
        "status": stored.status.value,
        "integrity": fault,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1])))) + "\n")
