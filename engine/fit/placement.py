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
from typing import TypeVar

from engine.fit.budget import Budget, Budgets
from engine.fit.facts import ModelFacts
from engine.fit.footprint import CacheShape, Weights, kv_bytes_by_layer, recurrent_bytes
from engine.fit.plan import DeviceBytes
from engine.fit.speed import Duration, Pace

_ALL_ORDERS_OF = 3
"""Cards. Of more, only orders by speed and by room are tried."""


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
        self._orders = _orders(budgets, pace, self._n_item)
        self._fixed_s = pace.seconds(pace.fixed(on_card=True))
        self._kv = [*kv_bytes_by_layer(facts.memory, shape), 0]
        self._state = [recurrent_bytes(facts.memory, shape, first_layer=i, end_layer=i + 1) for i in range(n_layer)]
        self._state.append(0)
        weights = facts.weights
        self._dense = [*(size.bytes for size in weights.layers), weights.output.bytes]
        self._experts = [*(size.bytes for size in weights.experts), 0]
        self._routed = weights.expert_layers
        moved = [sum(sizes) for sizes in zip(self._dense, self._kv, self._state, strict=True)]
        self._sums = _Sums(moved, self._experts, pace, weights, compute)

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
        best: _Candidate | None = None
        nearest = _Candidate(0.0, self._sums.host_bytes(self._n_item, on_card=False), ALL_IN_RAM)
        for first, cut in self._spreads(experts_in_ram):
            fixed_s = self._fixed_s if first < self._n_item else 0.0
            if best is not None and self._sums.least_s(first, cut) + fixed_s >= best.seconds:
                continue
            candidate = self._divide(first, cut)
            if candidate is None:
                continue
            if candidate.host_bytes > self._budgets.host.usable_bytes:
                nearest = min(nearest, candidate, key=lambda one: one.host_bytes)
            elif best is None or candidate.seconds < best.seconds:
                best = candidate
                if first == 0 and experts_in_ram is not None:
                    break
        return self.lay_out((best or nearest).choice)

    def _spreads(self, wished: int | None) -> Iterator[tuple[int, int]]:
        """(first item on a card, first layer whose experts are in main memory) of everything that is allowed.

        Experts leave the cards one layer after the other; only when all have left do whole layers follow.
        """
        routed = self._routed
        if self._budgets.cards:
            least = 0 if wished is None else min(wished, len(routed))
            for count in range(least, len(routed) + 1):
                yield 0, routed[len(routed) - count] if count else self._n_item
            for first in range(1, self._n_item):
                yield first, first
        yield self._n_item, self._n_item

    def _divide(self, first: int, cut: int) -> _Candidate | None:
        """The items from ``first`` on among the cards, so that each holds its part, in the least time.

        Layers from ``cut`` on keep their experts in main memory.
        """
        sums = self._sums
        if first == self._n_item:
            return _Candidate(sums.host_s(first), sums.host_bytes(first, on_card=False), ALL_IN_RAM)
        copies = cut < self._n_item or first > 0
        rooms = sum(max(0, self._room(card, copies=copies)) for card in range(len(self._budgets.cards)))
        if sums.card_bytes(first, self._n_item, cut) + self._facts.weights.tied.bytes > rooms:
            return None
        found: tuple[float, tuple[tuple[int, int], ...]] | None = None
        for order in self._orders:
            divided = self._divide_in_order(first, cut, order, copies=copies)
            if divided is not None and (found is None or divided[0] < found[0]):
                found = divided
        if found is None:
            return None
        in_ram = tuple(layer for layer in self._routed if layer >= max(cut, first))
        choice = Choice(found[1], in_ram)
        host = sums.host_bytes(first, on_card=True) + sums.experts[self._n_item] - sums.experts[max(cut, first)]
        if self._budgets.shared:
            host += sums.card_bytes(first, self._n_item, cut) + self._facts.weights.tied.bytes
            host += sum(self._taken(card, copies=copies) for card, _ in choice.cards)
        return _Candidate(found[0] + sums.host_s(first) + self._fixed_s, host, choice)

    def _divide_in_order(
        self, first: int, cut: int, order: tuple[int, ...], *, copies: bool
    ) -> tuple[float, tuple[tuple[int, int], ...]] | None:
        """Dynamic programming over cards: the least time for the first so many items on the cards so far."""
        sums, last = self._sums, self._n_item
        if len(order) == 1:
            (card,) = order
            if sums.card_bytes(first, last, cut) + self._facts.weights.tied.bytes > self._room(card, copies=copies):
                return None
            return sums.card_s(card, first, last, cut), ((card, last - first),)
        ends = range(first, last + 1)
        sizes = [sums.card_bytes(first, end, cut) for end in ends]
        sizes[-1] += self._facts.weights.tied.bytes
        count = len(sizes) - 1
        reached: list[float] = [0.0] + [float("inf")] * count
        came_from: list[list[int]] = []
        for card in order:
            times = [sums.card_s(card, first, end, cut) for end in ends]
            reached, origin = _extend(reached, sizes, times, self._room(card, copies=copies))
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
        """For weights and cache."""
        return self._budgets.cards[card].usable_bytes - self._taken(card, copies=copies)

    def _taken(self, card: int, *, copies: bool) -> int:
        """By all else; every card leaves room for caches of which arithmetic does not know the place."""
        unknown = self._compute.unknown_kv_bytes + self._compute.unknown_recurrent_bytes
        return self._compute.card_bytes(card, copies=copies) + unknown + self._facts.weights.everywhere.bytes

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


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A choice with what decides about it."""

    seconds: float
    """Of the whole task."""
    host_bytes: int
    """Of main memory, with the cards' parts where they are main memory too."""
    choice: Choice


class _Sums:
    """Bytes and seconds summed up over items, so that any run of them is a difference."""

    def __init__(
        self, moved: Sequence[int], experts: Sequence[int], pace: Pace, weights: Weights, compute: Compute
    ) -> None:
        self.moved = _summed(moved)
        """Weights but experts, cache and state: what follows the layer."""
        self.experts = _summed(experts)
        self._host_s = _summed([pace.seconds(duration) for duration in pace.host])
        self._cards_s = [_summed([pace.seconds(duration) for duration in card]) for card in pace.cards]
        self._experts_s = [_summed([pace.seconds(duration) for duration in card]) for card in pace.experts]
        self._in_ram_s = _summed([pace.seconds(duration) for duration in pace.experts_in_ram])
        self._least_s = [_summed(_least(pace, places)) for places in (pace.cards, pace.experts)]
        self._weights = weights
        self._compute = compute

    def host_s(self, end: int) -> float:
        """Of the items before ``end``, in main memory."""
        return self._host_s[end]

    def least_s(self, first: int, cut: int) -> float:
        """What the quickest division of a spread cannot beat: every item on the card that is quickest for it."""
        if not self._cards_s:
            return self._host_s[first]
        (dense, experts), in_ram, end = self._least_s, self._in_ram_s, len(self._host_s) - 1
        on_cards = dense[end] - dense[first] + experts[max(first, cut)] - experts[first]
        return self._host_s[first] + on_cards + in_ram[end] - in_ram[max(first, cut)]

    def host_bytes(self, end: int, *, on_card: bool) -> int:
        """Of main memory with the items before ``end`` in it, the rest on cards or nowhere."""
        weights, compute = self._weights, self._compute
        unknown = 0 if on_card else compute.unknown_kv_bytes + compute.unknown_recurrent_bytes
        buffers = compute.host_beside_bytes if on_card else compute.host_bytes
        everywhere = weights.everywhere.bytes if end else 0
        return self.moved[end] + self.experts[end] + weights.embedding.bytes + everywhere + buffers + unknown

    def card_bytes(self, start: int, end: int, cut: int) -> int:
        """Of a run of items on one card, with experts only before ``cut``."""
        return self.moved[end] - self.moved[start] + self.experts[min(end, cut)] - self.experts[min(start, cut)]

    def card_s(self, card: int, start: int, end: int, cut: int) -> float:
        """Of the same run; experts from ``cut`` on are computed in main memory."""
        dense, experts, in_ram = self._cards_s[card], self._experts_s[card], self._in_ram_s
        on_card = dense[end] - dense[start] + experts[min(end, cut)] - experts[min(start, cut)]
        return on_card + in_ram[max(end, cut)] - in_ram[max(start, cut)]


def _least(pace: Pace, places: Sequence[Sequence[Duration]]) -> list[float]:
    """Of each item, on the card that is quickest for it."""
    return [min(pace.seconds(duration) for duration in item) for item in zip(*places, strict=True)]


_N = TypeVar("_N", int, float)


def _summed(values: Sequence[_N]) -> list[_N]:
    zero: _N = values[0] - values[0] if values else 0
    return list(itertools.accumulate(values, initial=zero))


def _orders(budgets: Budgets, pace: Pace, n_item: int) -> tuple[tuple[int, ...], ...]:
    """In which the cards are tried: all orders of three, of more only those by speed and by room."""
    cards = range(len(budgets.cards))
    if len(cards) <= _ALL_ORDERS_OF:
        return tuple(itertools.permutations(cards)) if cards else ()
    by_speed = tuple(sorted(cards, key=lambda card: pace.cards[card][n_item - 1].decode_s))
    by_room = tuple(sorted(cards, key=lambda card: -budgets.cards[card].usable_bytes))
    return tuple(dict.fromkeys((by_speed, by_speed[::-1], by_room, by_room[::-1], tuple(cards))))


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
