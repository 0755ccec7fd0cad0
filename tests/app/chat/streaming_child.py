"""A process that streams an endless answer into a store until it is killed: ``python -m … DATABASE``.

Prints the answer's id, then the number of characters said so far, again and again.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from app.bus import Bus
from app.chat.service import ChatService
from app.lanes import StoreLane
from app.settings import Settings
from tests.app.chat.doubles import ReadyHost, ScriptedProvider


async def main(database: Path) -> None:
    provider = ScriptedProvider()
    lane = StoreLane(database)
    chat = ChatService(lane, Bus(), ReadyHost(), provider, Settings(database.with_name("settings.json")))
    answer_id = await chat.send(None, "A question that must not be lost")
    script = await provider.script(0)
    sys.stdout.write(f"{answer_id}\n")
    said = 0
    while True:
        text = f"word {said:09d} "  # 15 characters, never the same: what repeats itself is stopped
        script.say(text)
        said += len(text)
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
