"""Questions about documents with a model that can answer them: facts with their page, what is not there, counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest

from app.chat.records import Message
from app.documents.review_records import AttachmentState
from app.events import AnswerFinished, AttachmentChanged
from tests.app.documents.made_files import PdfPage, pdf
from tests.app.native import PATIENCE_S, House, open_house
from tests.fetched_models import QWEN, installed

pytestmark = [
    pytest.mark.models,
    pytest.mark.slow,
    pytest.mark.skipif(installed(QWEN) is None, reason="python -m tests.fetched_models fetches the model"),
]

_PATIENCE_S = 600.0
"""Until anything is heard: a long prompt takes minutes on a slow machine that does much else."""
_TENANTS = ("Ahrens", "Bode", "Conti", "Dreyer", "Ehlers", "Frick", "Gauss", "Hahn", "Iden", "Jahn", "Kolb", "Lenz")
_ABSENT = re.compile(
    r"not (?:\w+ ){0,4}(?:in|mention|found|stat|contain|provid|specif|includ)|no (?:mention|information)", re.I
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("questions")
    model = installed(QWEN)
    assert model is not None
    (folder / "models").mkdir()
    (folder / "models" / model.name).symlink_to(model)
    with open_house(folder, n_ctx=4096, max_tokens=160, temperature=0.0, last_model_id=model.stem) as opened:
        opened.product.begin()
        opened.product.run(opened.product.models.ensure_ready(None))
        yield opened


@pytest.fixture(scope="module")
def agreement(house: House, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A conversation with twelve pages, one tenant each; longer than the context."""
    filler = "The parties agree that the usual duties of care and quiet apply to this flat and to its cellar."
    pages: list[PdfPage] = []
    for number, name in enumerate(_TENANTS, 1):
        lines = [
            f"Flat {number}",
            f"The tenant of flat {number} is Mr {name}.",
            f"The rent is {700 + 10 * number} euros a month.",
        ]
        if number == 9:
            lines.append("The notice period of flat 9 is four months; of every other flat it is three months.")
        lines += [f"{number}.{clause} {filler}" for clause in range(1, 9)]
        pages.append(PdfPage(text=[(60, 60 + 22 * row, 10, line) for row, line in enumerate(lines)]))
    path = tmp_path_factory.mktemp("papers") / "agreement.pdf"
    path.write_bytes(pdf(*pages))
    conversation = house.product.run(house.product.services.chat.create())
    house.product.run(house.product.services.documents.attach(conversation.id, [path]))
    while True:
        event = house.events.get(timeout=PATIENCE_S)
        if isinstance(event, AttachmentChanged) and event.attachment.state is AttachmentState.READY:
            return conversation.id


def _ask(house: House, conversation_id: str, question: str) -> tuple[Message, Sequence[int]]:
    """The answer, and the pages that it cites."""
    chat, documents = house.product.services.chat, house.product.services.documents
    answer_id = house.product.run(chat.send(conversation_id, question))
    while True:
        event = house.events.get(timeout=_PATIENCE_S)
        if isinstance(event, AnswerFinished) and event.message.id == answer_id:
            break
    message = event.message
    return message, [citation.page for citation in house.product.run(documents.citations(message.id))]


def test_a_fact_is_answered_with_the_page_it_stands_on(house: House, agreement: str) -> None:
    message, pages = _ask(house, agreement, "What is the notice period of flat 9?")
    assert "four months" in message.text.lower()
    assert pages[:1] == [9]


def test_what_is_not_in_the_document_is_said(house: House, agreement: str) -> None:
    message, _ = _ask(house, agreement, "What is the telephone number of the caretaker?")
    assert _ABSENT.search(message.text)
    assert not re.search(r"\d{4}", message.text)


def test_a_count_covers_every_page(house: House, agreement: str) -> None:
    message, _ = _ask(house, agreement, "How many tenants are there?")
    assert re.search(r"\b(12|twelve)\b", message.text)


def test_a_list_names_them_all(house: House, agreement: str) -> None:
    message, pages = _ask(house, agreement, "List all tenants by name.")
    assert [name for name in _TENANTS if name not in message.text] == []
    assert len(set(pages)) > 3
