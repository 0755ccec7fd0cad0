"""Sending, editing, regenerating, stopping, branches, and what is refused before it is sent."""

from __future__ import annotations

import asyncio

import pytest

from app.chat.records import MessageStatus
from app.events import (
    AnswerFinished,
    AnswerGrew,
    BranchChosen,
    ConversationChanged,
    ConversationDeleted,
    MessageAdded,
)
from app.providers.provider import Chunk, PromptMessage, Timings, Usage
from engine.errors import GatehouseError, RequestError, WorkerError
from tests.app.chat.conftest import Stage


async def _answered(stage: Stage, conversation_id: str | None, text: str, answer: str) -> str:
    """Send and be answered; returns the conversation's id."""
    number = len(stage.provider.scripts)
    answer_id = await stage.chat.send(conversation_id, text)
    script = await stage.provider.script(number)
    script.say(answer)
    script.end()
    return (await stage.finished(answer_id)).conversation_id


async def _line(stage: Stage, conversation_id: str) -> list[tuple[str, MessageStatus]]:
    transcript = await stage.chat.open(conversation_id)
    return [(message.text, message.status) for message in transcript.messages]


async def test_first_message_makes_a_titled_conversation(stage: Stage) -> None:
    conversation_id = await _answered(stage, None, "## Why is *rust* red?\n\nSome detail", "Iron oxide.")
    (conversation,) = await stage.chat.conversations()
    assert (conversation.id, conversation.title) == (conversation_id, "Why is rust red?")
    assert conversation.message_count == 2
    assert conversation.preview == "Iron oxide."
    assert conversation.model_id == "double"


async def test_order_of_events(stage: Stage) -> None:
    await _answered(stage, None, "Hello", "Hi there")
    kinds = [type(event) for event in stage.events]
    assert kinds[:3] == [ConversationChanged, MessageAdded, MessageAdded]
    assert [event.message.role for event in stage.of(MessageAdded)] == ["user", "assistant"]
    assert kinds.index(AnswerGrew) < kinds.index(AnswerFinished)


async def test_growth_is_merged_and_joins_without_gap(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    script = await stage.provider.script(0)
    pieces = [f"piece {number} " for number in range(400)]
    script.say(*pieces)
    script.end()
    message = await stage.finished(answer_id)
    growth = stage.of(AnswerGrew)
    assert message.text == "".join(pieces)
    assert "".join(event.text for event in growth) == message.text
    position = 0
    for event in growth:
        assert event.text_start == position
        position += len(event.text)
    assert len(growth) < len(pieces) / 4


async def test_statistics_come_from_the_worker(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    script = await stage.provider.script(0)
    script.say("Hi")
    script.queue.put_nowait(Chunk(finish_reason="length"))
    script.queue.put_nowait(Chunk(usage=Usage(11, 22, 7), timings=Timings(predicted_per_second=44.5)))
    script.queue.put_nowait(None)
    message = await stage.finished(answer_id)
    stats = message.stats
    assert stats is not None
    assert (stats.prompt_tokens, stats.completion_tokens, stats.cached_tokens) == (11, 22, 7)
    assert (stats.decode_tok_s, stats.finish_reason, stats.device, stats.route) == (44.5, "length", "CPU", "local")
    assert stats.ttft_s is not None
    assert stats.total_s is not None
    assert 0 < stats.ttft_s <= stats.total_s
    assert (await stage.chat.open(message.conversation_id)).messages[-1] == message


async def test_prompt_is_the_branch_with_the_system_prompt(stage: Stage) -> None:
    conversation_id = await _answered(stage, None, "One", "First")
    await stage.chat.set_system_prompt(conversation_id, "Be brief.")
    await _answered(stage, conversation_id, "Two", "Second")
    assert stage.provider.scripts[0].prompt[0] == PromptMessage("system", stage.settings.values.system_prompt)
    assert stage.provider.scripts[1].prompt == (
        PromptMessage("system", "Be brief."),
        PromptMessage("user", "One"),
        PromptMessage("assistant", "First"),
        PromptMessage("user", "Two"),
    )


async def test_stop_keeps_the_text_and_hangs_up(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    script = await stage.provider.script(0)
    script.say("so far")
    await stage.until(lambda: stage.of(AnswerGrew))
    await stage.chat.stop(answer_id)
    message = await stage.finished(answer_id)
    assert (message.text, message.status, message.error) == ("so far", MessageStatus.STOPPED, "")
    assert script.closed
    await stage.chat.stop(answer_id)
    assert len(stage.of(AnswerFinished)) == 1


async def test_stop_before_the_first_step(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    await stage.chat.stop(answer_id)
    message = await stage.finished(answer_id)
    assert (message.text, message.status) == ("", MessageStatus.STOPPED)


async def test_open_while_streaming_shows_all_that_was_said(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    (script, conversation_id) = (await stage.provider.script(0), stage.of(MessageAdded)[0].message.conversation_id)
    script.say("a", "b", "c")
    await stage.until(lambda: stage.of(AnswerGrew))
    transcript = await stage.chat.open(conversation_id)
    published = "".join(event.text for event in stage.of(AnswerGrew))
    assert transcript.messages[-1].text == published
    assert transcript.messages[-1].status is MessageStatus.STREAMING
    await stage.chat.stop(answer_id)


async def test_regenerate_adds_a_sibling_and_one_can_go_back(stage: Stage) -> None:
    conversation_id = await _answered(stage, None, "Hello", "First")
    first = (await stage.chat.open(conversation_id)).messages[-1]
    second_id = await stage.chat.regenerate(first.id)
    (await stage.provider.script(1)).say("Second")
    stage.provider.scripts[1].end()
    await stage.finished(second_id)
    transcript = await stage.chat.open(conversation_id)
    last = transcript.messages[-1]
    assert (last.text, last.branch_index, last.branch_count) == ("Second", 1, 2)
    assert stage.provider.scripts[1].prompt == stage.provider.scripts[0].prompt
    await stage.chat.choose_branch(first.id)
    assert [text for text, _ in await _line(stage, conversation_id)] == ["Hello", "First"]
    assert [event.conversation_id for event in stage.of(BranchChosen)] == [conversation_id] * 2


async def test_regenerate_ends_the_running_answer_first(stage: Stage) -> None:
    first_id = await stage.chat.send(None, "Hello")
    (await stage.provider.script(0)).say("part")
    await stage.until(lambda: stage.of(AnswerGrew))
    second_id = await stage.chat.regenerate(first_id)
    assert (await stage.finished(first_id)).status is MessageStatus.STOPPED
    (await stage.provider.script(1)).end()
    assert (await stage.finished(second_id)).status is MessageStatus.COMPLETE


async def test_edit_makes_a_branch_from_there(stage: Stage) -> None:
    conversation_id = await _answered(stage, None, "One", "First")
    await _answered(stage, conversation_id, "Two", "Second")
    question = (await stage.chat.open(conversation_id)).messages[2]
    answer_id = await stage.chat.edit(question.id, "Two, differently")
    (await stage.provider.script(2)).say("Other")
    stage.provider.scripts[2].end()
    await stage.finished(answer_id)
    assert [text for text, _ in await _line(stage, conversation_id)] == ["One", "First", "Two, differently", "Other"]
    assert [m.text for m in stage.provider.scripts[2].prompt[1:]] == ["One", "First", "Two, differently"]
    await stage.chat.choose_branch(question.id)
    assert [text for text, _ in await _line(stage, conversation_id)] == ["One", "First", "Two", "Second"]


async def test_several_conversations_stream_at_once(stage: Stage) -> None:
    ids = [await stage.chat.send(None, f"Question {number}") for number in range(3)]
    scripts = [await stage.provider.script(number) for number in range(3)]
    for number, script in enumerate(scripts):
        script.say(f"Answer to {script.prompt[-1].text} ")
        script.say(str(number))
    for script in reversed(scripts):
        script.end()
    messages = [await stage.finished(answer_id) for answer_id in ids]
    assert {message.text.rsplit(" ", 1)[0] for message in messages} == {f"Answer to Question {n}" for n in range(3)}
    assert len({message.conversation_id for message in messages}) == 3


async def test_second_message_waits_for_the_first_answer(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    conversation_id = stage.of(MessageAdded)[0].message.conversation_id
    with pytest.raises(RequestError, match="still being written"):
        await stage.chat.send(conversation_id, "And?")
    (await stage.provider.script(0)).end()
    await stage.finished(answer_id)
    assert len((await stage.chat.open(conversation_id)).messages) == 2


async def test_double_click_sends_once(stage: Stage) -> None:
    created = await stage.chat.create()
    outcomes = await asyncio.gather(
        stage.chat.send(created.id, "Hello"), stage.chat.send(created.id, "Hello"), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [str, RequestError]
    assert [message.text for message in (await stage.chat.open(created.id)).messages] == ["Hello", ""]


async def test_too_long_is_refused_with_the_numbers_and_stores_nothing(stage: Stage) -> None:
    with pytest.raises(RequestError) as caught:
        await stage.chat.send(None, "word " * 1200)
    assert caught.value.code == "context_overflow"
    assert "1,205 tokens" in caught.value.sentence
    assert "1,000" in caught.value.sentence
    assert await stage.chat.conversations() == ()


async def test_without_a_worker_only_the_hopeless_is_refused(stage: Stage) -> None:
    stage.host.present = False
    with pytest.raises(RequestError, match="about"):
        await stage.chat.send(None, "word " * 1200)
    use = await stage.chat.measure(None, "word " * 100)
    assert (use.exact, use.n_ctx) == (False, 1000)
    assert 100 <= use.prompt_tokens <= 200


async def test_too_long_found_once_the_model_is_there(stage: Stage) -> None:
    stage.host.present = False
    answer_id = await stage.chat.send(None, "a " * 1500)
    message = await stage.finished(answer_id)
    assert message.status is MessageStatus.FAILED
    assert "1,505 tokens" in message.error


@pytest.mark.parametrize("text", ["", " \n\t"])
async def test_nothing_is_not_sent(stage: Stage, text: str) -> None:
    with pytest.raises(RequestError, match="nothing to send"):
        await stage.chat.send(None, text)


async def test_worker_lost_in_mid_answer(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    script = await stage.provider.script(0)
    script.say("half an ans")
    stage.host.loss = WorkerError("killed", "The model's process was killed (signal 9).", "It is started again.")
    script.fail(WorkerError("connection_lost", "The connection broke."))
    message = await stage.finished(answer_id)
    assert (message.text, message.status) == ("half an ans", MessageStatus.INTERRUPTED)
    assert message.error == "The model's process was killed (signal 9). It is started again."
    assert len(stage.provider.scripts) == 1
    conversation_id = await _answered(stage, message.conversation_id, "Again", "whole")
    assert [text for text, _ in await _line(stage, conversation_id)] == ["Hello", "half an ans", "Again", "whole"]


async def test_an_answer_that_repeats_itself_is_ended(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    script = await stage.provider.script(0)
    block = "The light of the lighthouse shows the ships their way home through the storm, " * 2 + "said he, again.\n"
    script.say(*[block] * 50)
    message = await stage.finished(answer_id)
    assert message.status is MessageStatus.INTERRUPTED
    assert message.error == "It was repeating itself, so it was stopped. Try again, or ask a larger model."
    assert message.text == block * 3
    assert script.closed
    assert message.stats is not None


async def test_worker_lost_before_the_first_word_is_asked_again(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    (await stage.provider.script(0)).fail(WorkerError("connection_lost", "The connection broke."))
    second = await stage.provider.script(1)
    second.say("here")
    second.end()
    message = await stage.finished(answer_id)
    assert (message.text, message.status) == ("here", MessageStatus.COMPLETE)


async def test_worker_lost_twice_fails(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    for number in range(2):
        (await stage.provider.script(number)).fail(WorkerError("connection_lost", f"Broke {number}."))
    message = await stage.finished(answer_id)
    assert (message.text, message.status, message.error) == ("", MessageStatus.FAILED, "Broke 1.")


async def test_refused_model_fails_the_answer_with_its_sentence(stage: Stage) -> None:
    stage.host.refusal = GatehouseError("does_not_fit", "It needs 9 GB.", "Close something.")
    answer_id = await stage.chat.send(None, "Hello")
    message = await stage.finished(answer_id)
    assert (message.status, message.error) == (MessageStatus.FAILED, "It needs 9 GB. Close something.")


async def test_bug_in_the_middle_keeps_the_text(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    script = await stage.provider.script(0)
    script.say("text")
    script.fail(ZeroDivisionError("secret words"))
    message = await stage.finished(answer_id)
    assert (message.text, message.status) == ("text", MessageStatus.INTERRUPTED)
    assert "secret words" not in message.error
    assert [record.levelname for record in caplog.records if record.name.startswith("app")] == ["ERROR"]


async def test_delete_and_bring_back(stage: Stage) -> None:
    conversation_id = await _answered(stage, None, "Hello", "Hi")
    await stage.chat.delete(conversation_id)
    assert await stage.chat.conversations() == ()
    assert [event.title for event in stage.of(ConversationDeleted)] == ["Hello"]
    await stage.chat.undelete(conversation_id)
    assert [c.id for c in await stage.chat.conversations()] == [conversation_id]


async def test_deleting_ends_a_running_answer(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    script = await stage.provider.script(0)
    conversation_id = stage.of(MessageAdded)[0].message.conversation_id
    await stage.chat.delete(conversation_id)
    assert (await stage.finished(answer_id)).status is MessageStatus.STOPPED
    assert script.closed


async def test_close_keeps_what_was_said(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    (await stage.provider.script(0)).say("not the whole")
    await stage.until(lambda: stage.of(AnswerGrew))
    await stage.chat.close()
    message = await stage.finished(answer_id)
    assert (message.text, message.status) == ("not the whole", MessageStatus.INTERRUPTED)
    assert (await stage.chat.open(message.conversation_id)).messages[-1] == message


async def test_empty_conversation_takes_its_title_from_the_first_message(stage: Stage) -> None:
    created = await stage.chat.create("some-model")
    await _answered(stage, created.id, "Tell me about otters", "They float.")
    await _answered(stage, created.id, "And beavers?", "They build.")
    (conversation,) = await stage.chat.conversations()
    assert conversation.title == "Tell me about otters"
    await stage.chat.rename(created.id, "  Wet\nanimals ")
    assert (await stage.chat.conversations())[0].title == "Wet animals"


async def test_text_is_saved_while_it_streams(stage: Stage) -> None:
    answer_id = await stage.chat.send(None, "Hello")
    (await stage.provider.script(0)).say("early words")

    async def stored() -> str:
        from app.store import messages

        return (await stage.lane.read(lambda connection: messages.get(connection, answer_id))).text

    async with asyncio.timeout(5):
        while await stored() != "early words":  # noqa: ASYNC110 - a row changes without an event
            await asyncio.sleep(0.02)
    await stage.chat.stop(answer_id)
