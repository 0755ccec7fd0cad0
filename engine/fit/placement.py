"""What lies where: layers on which card, whose experts in main memory, and what every memory then holds. Pure.

``lay_out`` counts one choice, ``place`` finds the best one. The choices are those that llama.cpp can carry out:

- The layers on cards are the last ones, the output after them; the first ones and the word embeddings stay in main
  memory. Each card takes a run of them, in the order in which the cards are given to llama.cpp.
- Of the layers on cards, the last so many keep their routed experts in main memory.
- KV never leaves before experts do: only when all experts are in main memory do whole layers follow.

Source: ``load_tensors`` in llama-model.cpp. Its split points are sums of ``tensor_split`` over their total in 32 bits,
and a layer is compared by the same division; with counts of layers for a split both are equal where a card begins.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.fit.budget import Budget, Budgets
from engine.fit.facts import ModelFacts
from engine.fit.footprint import CacheShape, kv_bytes_by_layer, recurrent_bytes
from engine.fit.plan import DeviceBytes
from engine.fit.speed import Duration, Pace

_ORDERS_LIMIT = 6
"""All orders of three cards; of more, only those by speed and by memory are tried."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Compute and output buffers, and cache that arithmetic did not know of."""

    host_bytes: int
    """When no card is used."""
    host_beside_bytes: int
    """When a card is."""
    cards: tuple[int, ...]
    """Of each card of the budgets, if it is used."""
    copied_bytes: int = 0
    """On each card besides, when weights in main memory are copied there to be multiplied."""
    unknown_kv_bytes: int = 0
    """What llama.cpp allocates for the cache beyond the formulas; 0 for every architecture the tables know."""
    unknown_recurrent_bytes: int = 0
    allowances: tuple[int, ...] = ()
    """What each card was measured to take beyond that; empty: nothing is known."""

    def card_bytes(self, card: int, *, copies: bool) -> int:
        """Of one card, its allowance included."""
        allowance = self.allowances[card] if self.allowances else 0
        return self.cards[card] + allowance + (self.copied_bytes if copies else 0)


@dataclass(frozen=True, slots=True)
class Choice:
    """How a model is spread."""

    cards: tuple[tuple[int, int], ...]
    """(place in the budgets, layers) of the used cards, in the order for llama.cpp; the output counts as a layer."""
    experts_in_ram: tuple[int, ...]
    """Of layers on cards."""

    @property
    def n_gpu_layers(self) -> int:
        return sum(count for _, count in self.cards)


ALL_IN_RAM = Choice((), ())


@dataclass(frozen=True, slots=True)
class Placement:
    """A model laid out on the memories of the machine."""

    choice: Choice
    devices: tuple[DeviceBytes, ...]
    """Used cards in their order, main memory last."""
    missing_bytes: int
    """By how much the tightest memory is too small; 0 when everything fits."""
    short_of: Budget
    needed_bytes: int
    """On the memory that is ``short_of``, or on the host."""
    step: Duration

    @property
    def fits(self) -> bool:
        return self.missing_bytes == 0


class Layout:
    """One model and context on one machine: counts choices and finds the best."""

    def __init__(self, facts: ModelFacts, shape: CacheShape, budgets: Budgets, compute: Compute, pace: Pace) -> None:
        self._facts = facts
        self._budgets = budgets
        self._compute = compute
        self._pace = pace
        n_layer = facts.n_layer
        self._n_item = n_layer + 1
        self._kv = [*kv_bytes_by_layer(facts.memory, shape), 0]
        self._state = [recurrent_bytes(facts.memory, shape, first_layer=i, end_layer=i + 1) for i in range(n_layer)]
        self._state.append(0)
        weights = facts.weights
        self._dense = [*(size.bytes for size in weights.layers), weights.output.bytes]
        self._experts = [*(size.bytes for size in weights.experts), 0]
        self._expert_layers = weights.expert_layers

    def lay_out(self, choice: Choice) -> Placement:
        """Count the bytes of every memory and the time of every step."""
        weights, pace = self._facts.weights, self._pace
        first = self._n_item - choice.n_gpu_layers
        in_ram = frozenset(choice.experts_in_ram)
        on_host = range(first)
        step = sum((pace.host[item] for item in on_host), pace.fixed(on_card=bool(choice.cards)))
        devices: list[DeviceBytes] = []
        start = first
        for card, count in choice.cards:
            items = range(start, start + count)
            start += count
            devices.append(self._on_card(card, items, in_ram, copies=bool(in_ram or first), is_first=not devices))
            for item in items:
                step += pace.cards[card][item]
                step += pace.experts_in_ram[item] if item in in_ram else pace.experts[card][item]
        routed = sum(self._experts[item] for item in (*on_host, *in_ram))
        beside = bool(choice.cards)
        host = self._budgets.host
        devices.append(
            DeviceBytes(
                name=host.name,
                kind=host.kind,
                free_bytes=host.free_bytes,
                weights_bytes=weights.embedding.bytes
                + sum(self._dense[item] for item in on_host)
                + routed
                + (weights.everywhere.bytes if first > 0 else 0),
                kv_bytes=sum(self._kv[item] for item in on_host) + (0 if beside else self._compute.unknown_kv_bytes),
                recurrent_bytes=sum(self._state[item] for item in on_host)
                + (0 if beside else self._compute.unknown_recurrent_bytes),
                compute_bytes=self._compute.host_beside_bytes if beside else self._compute.host_bytes,
                experts_bytes=routed,
            )
        )
        return self._weigh(choice, tuple(devices), step)

    def place(self, experts_in_ram: int | None = None) -> Placement:
        """The quickest choice that fits, or, when none does, the one that needs the least main memory.

        ``experts_in_ram`` asks for so many layers' experts in main memory; when those are too few, more are taken.
        """
        best: tuple[float, Choice] | None = None
        nearest: tuple[int, Choice] = (self._host_bytes(ALL_IN_RAM), ALL_IN_RAM)
        for choice in self._candidates(experts_in_ram):
            needed = self._host_bytes(choice)
            if needed > self._budgets.host.usable_bytes:
                nearest = min(nearest, (needed, choice), key=lambda row: row[0])
                continue
            seconds = self._seconds(choice)
            if best is None or seconds < best[0]:
                best = (seconds, choice)
        return self.lay_out(best[1] if best is not None else nearest[1])

    def _candidates(self, wished: int | None) -> Iterator[Choice]:
        """For each spread that is allowed, the quickest way to divide it among the cards that hold it."""
        routed = self._expert_layers
        counts: Sequence[int] = range(len(routed) + 1)
        if wished is not None:
            least = min(wished, len(routed))
            asked = [choice for choice in [self._divide(0, routed[len(routed) - least :])] if choice]
            if asked and self._host_bytes(asked[0]) <= self._budgets.host.usable_bytes:
                yield asked[0]
                return
            counts = range(least, len(routed) + 1)
        for count in counts:
            choice = self._divide(0, routed[len(routed) - count :])
            if choice is not None:
                yield choice
        for first in range(1, self._n_item):
            choice = self._divide(first, tuple(layer for layer in routed if layer >= first))
            if choice is not None:
                yield choice
        yield ALL_IN_RAM

    def _divide(self, first: int, in_ram: tuple[int, ...]) -> Choice | None:
        """The items from ``first`` on among the cards, so that each holds its part, in the least time."""
        if not self._budgets.cards:
            return None
        kept = frozenset(in_ram)
        sizes = [0]
        for item in range(first, self._n_item):
            size = self._dense[item] + self._kv[item] + self._state[item]
            sizes.append(sizes[-1] + size + (0 if item in kept else self._experts[item]))
        sizes[-1] += self._facts.weights.tied.bytes
        found: tuple[float, tuple[tuple[int, int], ...]] | None = None
        for order in self._orders():
            divided = self._divide_in_order(first, kept, sizes, order)
            if divided is not None and (found is None or divided[0] < found[0]):
                found = divided
        return None if found is None else Choice(found[1], in_ram)

    def _orders(self) -> Iterator[tuple[int, ...]]:
        cards = range(len(self._budgets.cards))
        orders = itertools.permutations(cards)
        if len(cards) <= 3:
            yield from orders
            return
        output = self._n_item - 1
        by_speed = tuple(sorted(cards, key=lambda card: self._pace.cards[card][output].decode_s))
        by_room = tuple(sorted(cards, key=lambda card: -self._budgets.cards[card].usable_bytes))
        yield from dict.fromkeys((by_speed, by_speed[::-1], by_room, by_room[::-1], tuple(cards)))

    def _divide_in_order(
        self, first: int, kept: frozenset[int], sizes: list[int], order: tuple[int, ...]
    ) -> tuple[float, tuple[tuple[int, int], ...]] | None:
        """Dynamic programming over cards: the least time for the first so many items on the cards so far."""
        count = len(sizes) - 1
        reached: list[float] = [0.0] + [float("inf")] * count
        came_from: list[list[int]] = []
        for card in order:
            room = self._room(card, copies=bool(kept or first))
            reached, origin = _extend(reached, sizes, self._times(first, kept, card), room)
            came_from.append(origin)
        if reached[count] == float("inf"):
            return None
        taken: list[tuple[int, int]] = []
        end = count
        for card, origin in zip(reversed(order), reversed(came_from), strict=True):
            if origin[end] < end:
                taken.append((card, end - origin[end]))
            end = origin[end]
        return reached[count], tuple(reversed(taken))

    def _room(self, card: int, *, copies: bool) -> int:
        """For weights and cache; every card leaves room for caches of which arithmetic does not know the place."""
        unknown = self._compute.unknown_kv_bytes + self._compute.unknown_recurrent_bytes
        taken = self._compute.card_bytes(card, copies=copies) + unknown + self._facts.weights.everywhere.bytes
        return self._budgets.cards[card].usable_bytes - taken

    def _times(self, first: int, kept: frozenset[int], card: int) -> list[float]:
        """Seconds of the items from ``first`` on, summed up."""
        pace = self._pace
        times = [0.0]
        for item in range(first, self._n_item):
            experts = pace.experts_in_ram[item] if item in kept else pace.experts[card][item]
            times.append(times[-1] + pace.seconds(pace.cards[card][item]) + pace.seconds(experts))
        return times

    def _seconds(self, choice: Choice) -> float:
        return self._pace.seconds(self.lay_out(choice).step)

    def _host_bytes(self, choice: Choice) -> int:
        """Of main memory, with the cards' parts where they are main memory too."""
        return _host_needs(self.lay_out(choice).devices, shared=self._budgets.shared)

    def _on_card(self, card: int, items: range, in_ram: frozenset[int], *, copies: bool, is_first: bool) -> DeviceBytes:
        budget, weights = self._budgets.cards[card], self._facts.weights
        routed = sum(self._experts[item] for item in items if item not in in_ram)
        holds_layer = items.start < self._n_item - 1
        tied = weights.tied.bytes if items.stop == self._n_item else 0
        return DeviceBytes(
            name=budget.name,
            kind=budget.kind,
            free_bytes=budget.free_bytes,
            weights_bytes=sum(self._dense[item] for item in items)
            + routed
            + tied
            + (weights.everywhere.bytes if holds_layer else 0),
            kv_bytes=sum(self._kv[item] for item in items) + (self._compute.unknown_kv_bytes if is_first else 0),
            recurrent_bytes=sum(self._state[item] for item in items)
            + (self._compute.unknown_recurrent_bytes if is_first else 0),
            compute_bytes=self._compute.cards[card] + (self._compute.copied_bytes if copies else 0),
            experts_bytes=routed,
            allowance_bytes=self._compute.allowances[card] if self._compute.allowances else 0,
        )

    def _weigh(self, choice: Choice, devices: tuple[DeviceBytes, ...], step: Duration) -> Placement:
        for (card, _), device in zip(choice.cards, devices, strict=False):
            budget = self._budgets.cards[card]
            missing = device.needed_bytes - budget.usable_bytes
            if missing > 0:
                return Placement(choice, devices, missing, budget, device.needed_bytes, step)
        needed = _host_needs(devices, shared=self._budgets.shared)
        missing = max(0, needed - self._budgets.host.usable_bytes)
        return Placement(choice, devices, missing, self._budgets.host, needed, step)


def _host_needs(devices: Sequence[DeviceBytes], *, shared: bool) -> int:
    return sum(device.needed_bytes for device in (devices if shared else devices[-1:]))


def _extend(reached: list[float], sizes: list[int], times: list[float], room: int) -> tuple[list[float], list[int]]:
    """Let one more card take a run of items, none at best cost; returns the times and where each run began.

    A run from ``start`` to ``end`` fits if its sizes do. The earliest start that fits only moves forward with the end,
    so the least of ``reached[start] - times[start]`` is kept in a queue.
    """
    extended, origin = list(reached), list(range(len(reached)))
    window: deque[int] = deque()
    for end in range(len(sizes)):
        while window and sizes[end] - sizes[window[0]] > room:
            window.popleft()
        if window:
            candidate = reached[window[0]] - times[window[0]] + times[end]
            if candidate < extended[end]:
                extended[end], origin[end] = candidate, window[0]
        if reached[end] < float("inf"):
            key = reached[end] - times[end]
            while window and reached[window[-1]] - times[window[-1]] >= key:
                window.pop()
            window.append(end)
    return extended, origin
