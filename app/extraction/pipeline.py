"""A document and a schema to values: the order of questions, the merging of windows, the judging of what came.

Wide schemas are asked in parts, tables in two steps (where the rows begin, then their cells), long documents in
windows of which none is left out. What a question looks like is ``prompt``'s and ``forms``'s, what an answer means
``drafts``'s.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from app.documents.records import Reading
from app.extraction import examples as shown
from app.extraction import tables
from app.extraction.ask import Asker, Question, Reply, Turn
from app.extraction.calibration import Calibration, shipped
from app.extraction.confidence import Signs, score
from app.extraction.counts import list_notes, missed_rows, rows_note, without_head
from app.extraction.drafts import Draft, drafts_of, places_of
from app.extraction.expect import Opinion, opinion, rivals
from app.extraction.forms import WindowForms
from app.extraction.ground import Source, evidence_of
from app.extraction.merge import merge, order_windows, settled
from app.extraction.prompt import document_turn, part_text, prompt_sha256, system_turn
from app.extraction.records import Example, Extraction, ExtractionTimings, Value
from app.extraction.schema import Field, FieldType, Schema, check_schema, leaves
from app.extraction.validate import check_rules, problems_of
from app.extraction.view import Window, document_lines, windows_of
from engine.errors import GatehouseError

MAX_PART_FIELDS: Final = 12
"""Leaves asked for in one answer."""
_ANSWER_TOKENS: Final = 512
_TOKENS_A_FIELD: Final = 90
_CHARS_A_TOKEN: Final = 2.0
"""Rather too few: digits and foreign scripts take a token each."""
_MAX_WINDOW_CHARS: Final = 12_000
_LEAST_CHARS: Final = 600
"""A window smaller than half a page is not worth asking about."""
_PAGE_CHARS: Final = 4000
"""Examples leave a document as much room as that, or all of its text."""


async def extract(
    reading: Reading,
    schema: Schema,
    examples: Sequence[Example],
    asker: Asker,
    calibration: Calibration | None = None,
) -> Extraction:
    """All fields of a schema from one document. Cancelling it hangs up.

    Raises:
        GatehouseError: the schema cannot work, the model cannot be asked, or its context is too small.
    """
    check_schema(schema)
    work = _Work(reading, schema, examples, asker)
    began = time.monotonic()
    await work.ask_all()
    return work.finished(calibration or shipped(), time.monotonic() - began)


class _Work:
    """One document being asked about."""

    def __init__(self, reading: Reading, schema: Schema, examples: Sequence[Example], asker: Asker) -> None:
        self._reading = reading
        self._schema = schema
        self._asker = asker
        self.lines = document_lines(reading)
        self._source = Source(self.lines)
        self._tables = [field for field in schema.fields if field.type is FieldType.TABLE]
        self._parts = parts_of([field for field in schema.fields if field.type is not FieldType.TABLE])
        self._prefix = self._shown_prefix(examples)
        self._few_shot = len(self._prefix) > 1
        self._drafts: list[Draft] = []
        self._replies: list[Reply] = []
        self._notes: list[str] = []

    def _shown_prefix(self, examples: Sequence[Example]) -> tuple[Turn, ...]:
        """The instruction, and the examples that leave the document its room."""
        turns = [system_turn(self._schema)]
        plain = self._parts[0] if len(self._parts) == 1 and not self._tables else None
        needed = max(_LEAST_CHARS, min(sum(len(line.text) + 1 for line in self.lines), _PAGE_CHARS))
        if plain is not None:
            for example in shown.choose(examples, plain):
                more = shown.turns_of(example, plain)
                half = _chars([*turns, *more]) / _CHARS_A_TOKEN < self._asker.n_ctx / 2
                if half and self._room_chars([*turns, *more]) >= needed:
                    turns += more
        return tuple(turns)

    async def ask_all(self) -> None:
        """Every window, the likeliest first; single fields that are settled are not asked again."""
        if not self.lines:
            self._notes.append("The document has no text, so nothing was asked of it.")
            return
        windows = windows_of(self.lines, self._window_chars())
        if len(windows) > 1:
            self._notes.append(f"The document was read in {len(windows)} parts.")
        for window in order_windows(windows, self._schema):
            conversation = list(self._prefix)
            forms, source = WindowForms(window.lines), Source(window.lines)
            for part in self._parts:
                open_fields = [field for field in part if not settled(field, self._drafts)]
                if not open_fields:
                    continue
                whole = len(self._parts) == 1 and not self._tables and open_fields == list(part)
                reply = await self._ask(conversation, window, open_fields, forms, whole=whole)
                found = drafts_of(reply, open_fields, source, self._reading)
                self._drafts += found
                self._notes += list_notes(open_fields, found)
                await self._ask_widely(conversation, window, open_fields, forms.narrowed, found)
            for table in self._tables:
                await self._ask_table(conversation, window, table)

    async def _ask_widely(
        self,
        conversation: list[Turn],
        window: Window,
        fields: Sequence[Field],
        narrowed: set[str],
        found: Sequence[Draft],
    ) -> None:
        """Once more for numbers of which none with the field's own words before it was the right one."""
        missing = {draft.path for draft in found if draft.value is None} & narrowed
        again = [field for field in fields if field.name in missing]
        if again:
            reply = await self._ask(conversation, window, again, WindowForms(window.lines, wide=True), whole=False)
            self._drafts += drafts_of(reply, again, Source(window.lines), self._reading)

    async def _ask(
        self, conversation: list[Turn], window: Window, fields: Sequence[Field], forms: WindowForms, *, whole: bool
    ) -> Reply:
        first = len(conversation) == len(self._prefix)
        turn = document_turn(window, fields, whole=whole) if first else Turn("user", part_text(fields))
        most = _ANSWER_TOKENS + _TOKENS_A_FIELD * len(list(leaves(tuple(fields))))
        return await self._say(conversation, turn, forms.schema(fields), most)

    async def _say(self, conversation: list[Turn], turn: Turn, form: dict[str, object], most: int) -> Reply:
        """Ask, and keep question and answer before the next one."""
        conversation.append(turn)
        reply = await self._asker.ask(Question(tuple(conversation), form, most))
        conversation.append(Turn("assistant", reply.text))
        self._replies.append(reply)
        if not reply.complete:
            self._notes.append("An answer was longer than there was room for; what came before the cut is kept.")
        return reply

    async def _ask_table(self, conversation: list[Turn], window: Window, table: Field) -> None:
        """Where rows begin, then their cells, each of which can only come from its own row."""
        first = len(conversation) == len(self._prefix)
        turn = tables.rows_turn(window, table, first=first)
        reply = await self._say(conversation, turn, tables.rows_form(window), tables.ROWS_TOKENS)
        lines = [line.text for line in window.lines]
        starts = without_head(table, tables.starts_of(reply, window), lines)
        added = missed_rows(table, starts, lines)
        rows = tables.rows_at(sorted((*starts, *added)), window)
        note = rows_note(table, len(rows), len(added), complete=reply.complete)
        self._notes += [note] if note else []
        for batch in tables.batches(rows):
            turn = Turn("user", tables.cells_text(table, batch))
            most = _TOKENS_A_FIELD * len(batch) * len(table.fields) // 2 + _ANSWER_TOKENS
            reply = await self._say(conversation, turn, tables.cells_form(table, batch), most)
            self._drafts += tables.cell_drafts(reply, table, batch, self._reading)

    def _window_chars(self) -> int:
        """Of a document's text that a question has room for.

        Raises:
            GatehouseError: not even a short page fits.
        """
        chars = self._room_chars(self._prefix)
        if chars < _LEAST_CHARS:
            raise GatehouseError(
                "context_too_small",
                f"The model's context of {self._asker.n_ctx:,} tokens has no room for this schema and a document.",
                "Load the model with a larger context, or use a schema with fewer fields.",
            )
        return min(chars, _MAX_WINDOW_CHARS)

    def _room_chars(self, prefix: Sequence[Turn]) -> int:
        """Of text that fits between what stands before it and the answer."""
        fields = sum(1 for _ in leaves(self._schema.fields))
        room = self._asker.n_ctx - _chars(prefix) / 3 - (_ANSWER_TOKENS + _TOKENS_A_FIELD * fields) - 64
        return int(room * _CHARS_A_TOKEN)

    def finished(self, calibration: Calibration, total_s: float) -> Extraction:
        """All values in the schema's order, judged."""
        drafts = merge(self._schema, self._drafts)
        ruled = check_rules(self._schema, {one.draft.path: one.draft.value for one in drafts})
        values = []
        for merged in drafts:
            draft = merged.draft
            problems = ruled.problems.get(draft.path, ())
            if draft.value is not None:
                problems = (*problems_of(draft.field, draft.value), *problems)
            elif draft.field.required:
                problems = (*problems, "The schema says that every such document has it.")
            values.append(self._value(draft, problems, draft.path in ruled.upheld, merged.alternatives, calibration))
        return Extraction(
            tuple(values),
            self._asker.model,
            self._timings(total_s),
            tuple(dict.fromkeys((*self._reading.notes, *self._notes))),
            prompt_sha256(self._prefix),
        )

    def _value(
        self,
        draft: Draft,
        problems: tuple[str, ...],
        upheld: bool,
        alternatives: tuple[str, ...],
        calibration: Calibration,
    ) -> Value:
        words = [word for a, b in draft.spans for word in self._reading.words_in(a, b)]
        signs = Signs(
            draft.kind,
            draft.certainty,
            draft.grounding,
            min((word.score for word in words), default=1.0),
            len(problems),
            int(upheld),
            max(1, places_of(draft, self._source)),
            draft.labelled,
            self._few_shot,
            opinion(draft.field, draft.value, self.lines) if draft.path == draft.field.name else Opinion.NONE,
            rivals(draft.kind, self.lines),
        )
        raw_score = score(signs)
        return Value(
            draft.path,
            draft.kind,
            draft.value,
            draft.raw,
            calibration.probability(raw_score),
            draft.grounding,
            evidence_of(self._reading, draft.spans),
            draft.currency,
            problems,
            alternatives,
            raw_score,
        )

    def _timings(self, total_s: float) -> ExtractionTimings:
        return ExtractionTimings(
            total_s,
            sum(reply.seconds for reply in self._replies),
            len(self._replies),
            sum(reply.prompt_tokens for reply in self._replies),
            sum(reply.cached_tokens for reply in self._replies),
            sum(reply.completion_tokens for reply in self._replies),
        )


def parts_of(fields: Sequence[Field]) -> list[tuple[Field, ...]]:
    """Fields in groups that one answer can hold; a nested group is never torn."""
    parts: list[tuple[Field, ...]] = []
    size = 0
    for field in fields:
        count = sum(1 for _ in leaves((field,)))
        if not parts or size + count > MAX_PART_FIELDS:
            parts.append(())
            size = 0
        parts[-1] = (*parts[-1], field)
        size += count
    return parts


def _chars(turns: Sequence[Turn]) -> int:
    return sum(len(turn.text) for turn in turns)
