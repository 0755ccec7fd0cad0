"""A strict reader of Prometheus' text format, for tests. Source: prometheus.io, "Text-based format", version 0.0.4."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}

Labels = tuple[tuple[str, str], ...]


@dataclass
class Family:
    """One metric: its kind, and the value under each name and set of labels."""

    kind: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The only one."""
        (value,) = self.samples.values()
        return value


def parse(text: str) -> dict[str, Family]:
    """All families by name. Raises: ``AssertionError`` for anything that the format does not allow."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    helped: set[str] = set()
    current = ""
    for line in text[:-1].split("\n"):
        assert line == line.strip(), line
        assert line
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert re.fullmatch(_NAME, name)
            assert name not in helped, f"a second HELP for {name}"
            assert name not in families, f"HELP after the values of {name}"
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert re.fullmatch(_NAME, current)
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped")
            assert current not in families, f"{current} in two places"
            families[current] = Family(kind)
        else:
            _sample(line, current, families)
    for name, family in families.items():
        _check(name, family)
    return families


def _sample(line: str, current: str, families: dict[str, Family]) -> None:
    found = _SAMPLE.fullmatch(line)
    assert found, line
    name, labelled, value = found.groups()
    family = families[current]
    assert name in {current + suffix for suffix in _SUFFIXES.get(family.kind, ("",))}, f"{name} among {current}"
    labels: Labels = ()
    if labelled is not None:
        assert re.fullmatch(rf"{_LABEL.pattern}(?:,{_LABEL.pattern})*", labelled), line
        labels = tuple((key, text) for key, text in _LABEL.findall(labelled))
        assert len(dict(labels)) == len(labels)
    assert (name, labels) not in family.samples, f"{line} twice"
    family.samples[name, labels] = float(value.replace("Inf", "inf"))


def _check(name: str, family: Family) -> None:
    if family.kind == "counter":
        assert name.endswith("_total")
        assert all(value >= 0 for value in family.samples.values())
    if family.kind == "histogram":
        buckets = [(dict(labels)["le"], value) for (at, labels), value in family.samples.items() if at.endswith("et")]
        bounds = [math.inf if bound == "+Inf" else float(bound) for bound, _ in buckets]
        counts = [count for _, count in buckets]
        assert bounds == sorted(set(bounds))
        assert bounds[-1] == math.inf
        assert counts == sorted(counts)
        assert counts[-1] == family.samples[f"{name}_count", ()]
        assert f"{name}_sum" in {at for at, _ in family.samples}
