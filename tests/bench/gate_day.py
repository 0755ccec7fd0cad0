"""A day of work in *Local only*, as a script: two processes of the whole product, the first of which dies at work.

``python -m tests.bench.gate_day morning|afternoon FOLDER [--short]`` prints a line for each thing that was done. It is
run by ``gate_zero`` and by the test of sockets, which look at what leaves meanwhile. A provider is set up, so that
there would be somebody to ask.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.documents.batch_records import FileState, NewBatch
from app.documents.review_records import ExportFormat
from app.gate.label import GateMode
from app.gate.records import Ask, Provider
from engine.errors import GatehouseError
from tests.app.native import House, open_house

PROVIDER = Provider("", "Cloud", "https://api.example.com/v1", "large", "cloud", 32_000, 1.0, 2.0)
_LETTER = (
    "Dear Ms Novák,\nthe invoice of 12 March over EUR 1,250.00 goes to DE89 3704 0044 0532 0130 00.\nYours, J. Berg\n"
)


def done(what: str) -> None:
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


def morning(folder: Path, *, short: bool) -> None:
    """Everything for the first time; ends as a crash of the app in the middle of an answer."""
    with open_house(folder / "data", max_tokens=48) as house:
        product, services = house.product, house.product.services
        look_around(house, short=short)
        cards = product.run(services.models.models())
        product.run(services.models.load(cards[0].id))
        house.ready()
        done("load a model")
        first = ask(house, None, "What is the capital of France?")
        product.run(product.outside.providers.save(PROVIDER))
        stay_local(house, first)
        if not short:
            ask(house, first, "And of Italy?")
            talk_more(house, first)
            kill_the_worker(house, first)
        read_documents(house, folder)
        product.run(services.chat.search("capital"))
        done("search conversations")
        services.settings.update(max_tokens=2000)
        message = product.run(services.chat.send(first, "Write a very long story about a lighthouse."))
        house.first_words(message)
        threading.Event().wait(1.5)  # a crash may cost the last second, and it is written once a second
        done("crash in mid-answer")
        os._exit(9)


def afternoon(folder: Path, *, short: bool) -> None:
    """After the crash: what was kept is there, and work goes on."""
    with open_house(folder / "data", max_tokens=32) as house:
        product, services = house.product, house.product.services
        product.begin()
        (found,) = product.run(services.chat.conversations())
        kept = product.run(services.chat.open(found.id)).messages[-1]
        assert kept.text, "the answer that was being written is kept"
        done("find the interrupted answer again")
        house.ready()
        ask(house, found.id, "Thank you.")
        if not short:
            extract_values(house, folder)
            product.run(services.chat.rename(found.id, "Lighthouses"))
            product.run(services.chat.delete(found.id))
            product.run(services.chat.undelete(found.id))
            done("rename, delete and undelete")
        told = product.run(product.outside.ledger.verify())
        left = product.run(product.outside.ledger.bytes_left())
        assert told.intact, told.sentence
        assert (left.total, left.since) == (0, None), left
        done("the ledger says that 0 bytes left")


def look_around(house: House, *, short: bool) -> None:
    """The pages about models and machine, without searching: that is asked of a hub, and only by a person."""
    product, services = house.product, house.product.services
    product.run(services.models.machine())
    product.run(services.hub.catalogue())
    done("look at the catalogue")
    if not short:
        product.run(services.hub.suggestions())
        done("ask for suggestions")


def ask(house: House, conversation_id: str | None, text: str) -> str:
    """Ask the local model and wait; returns the conversation's id."""
    message = house.product.run(house.product.services.chat.send(conversation_id, text))
    answer = house.answer(message)
    assert answer.status == "complete", answer
    done("chat")
    return answer.conversation_id


def talk_more(house: House, conversation_id: str) -> None:
    """Branches."""
    product, chat = house.product, house.product.services.chat
    last = product.run(chat.open(conversation_id)).messages[-1]
    house.answer(product.run(chat.regenerate(last.id)))
    before = product.run(chat.open(conversation_id)).messages[-2]
    house.answer(product.run(chat.edit(before.id, "And of Spain?")))
    done("regenerate and edit")


def stay_local(house: House, conversation_id: str) -> None:
    """In *Local only* nothing can be asked of the cloud, by whatever way one tries. Scanning is done here."""
    product, gate = house.product, house.product.services.gate
    found = product.run(gate.scan(_LETTER))
    assert any(one.kind == "IBAN" for one in found), found
    done("scan a letter")
    (provider,) = product.run(product.outside.providers.every())
    product.run(gate.set_mode(conversation_id, GateMode.LOCAL))
    preview = product.run(gate.preview(Ask(conversation_id, draft="What do you think?", provider_id=provider.id)))
    assert not preview.verdict.allowed, preview.verdict
    for attempt in (
        gate.send(preview.id, preview.body_sha256),
        gate.ask(Ask(conversation_id, draft="What do you think?", provider_id=provider.id)),
    ):
        try:
            product.run(attempt)
        except GatehouseError:
            continue
        raise AssertionError("the cloud was asked in Local only")
    done("be refused the cloud")


def read_documents(house: House, folder: Path) -> None:
    """In sandboxed readers."""
    from app.documents.pool import ReaderPool

    letter = folder / "letter.txt"
    letter.write_text(_LETTER, "utf-8")
    page = folder / "page.html"
    page.write_text(
        "<html><head><link rel=stylesheet href='https://styles.example.com/a.css'></head><body>"
        "<img src='https://images.example.com/pixel.gif'><p>An invoice over 12 euros.</p></body></html>",
        "utf-8",
    )

    async def read() -> None:
        pool = ReaderPool(size=1)
        try:
            for path in (letter, page):
                assert (await pool.read(path)).text
        finally:
            await pool.close()

    house.product.run(read())
    done("read documents")


def extract_values(house: House, folder: Path) -> None:
    """A batch of documents, its pages and an export."""
    product, documents = house.product, house.product.services.documents
    receipt = folder / "receipt.txt"
    receipt.write_text("Corner Shop\n12 March 2026\nBread 3.20\nTotal EUR 3.20\n", "utf-8")
    batch = product.run(documents.create(NewBatch((receipt,), "receipt")))
    deadline = time.monotonic() + 60
    while not all(one.state.is_ended for one in product.run(documents.files(batch.id))):
        house.next(deadline)
    (file,) = product.run(documents.files(batch.id))
    assert file.state is FileState.DONE, file
    assert file.document_id is not None
    product.run(documents.page_picture(file.document_id, 1, 400))
    product.run(documents.export([batch.id], folder / "values.csv", ExportFormat.CSV))
    done("extract values from a batch, look at a page, export")


def kill_the_worker(house: House, conversation_id: str) -> None:
    """And be answered by the next one."""
    services = house.product.services
    services.settings.update(max_tokens=2000)
    message = house.product.run(services.chat.send(conversation_id, "Tell me a long story about bees."))
    house.first_words(message)
    os.kill(house.ready().pid, signal.SIGKILL)
    assert house.answer(message).status == "interrupted"
    services.settings.update(max_tokens=32)
    done("lose the model in mid-answer")
    ask(house, conversation_id, "Go on.")


_PARTS: dict[str, Callable[..., None]] = {"morning": morning, "afternoon": afternoon}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=_PARTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--short", action="store_true")
    asked = parser.parse_args()
    started = time.monotonic()
    _PARTS[asked.part](asked.folder, short=asked.short)
    done(f"{asked.part}: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
