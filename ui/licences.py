"""What Gatehouse stands on: each installed component with its version and licence, as its own metadata says."""

from __future__ import annotations

from importlib import metadata

_SHIPPED = (
    ("Inter", "3.19", "OFL-1.1"),
    ("JetBrains Mono", "2.242", "OFL-1.1"),
    ("Lucide icons", "1.62", "ISC"),
    ("SmolLM2-135M-Instruct", "Q4_1", "Apache-2.0"),
)


def notices() -> str:
    """One line a component, by name. Reads package metadata: not for the hot path."""
    lines = {(name.casefold(), name, version, licence) for name, version, licence in _SHIPPED}
    for name in _reachable("gatehouse"):
        found = metadata.distribution(name)
        title = found.metadata["Name"]
        lines.add((title.casefold(), title, found.version, _licence(found)))
    return "\n".join(f"{title:<26} {version:<12} {licence}" for _, title, version, licence in sorted(lines))


def _reachable(root: str) -> set[str]:
    """Names of the installed distributions that ``root`` needs, itself left out."""
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # a requirement of another platform
        if name != root:
            seen.add(name)
        for need in needs:
            bare = _bare(need)
            if "extra ==" not in need and bare not in seen:
                waiting.append(bare)
    return seen


def _bare(requirement: str) -> str:
    name = ""
    for letter in requirement:
        if not (letter.isalnum() or letter in "-_."):
            break
        name += letter
    return name.lower().replace("_", "-")


def _licence(found: metadata.Distribution) -> str:
    fields = found.metadata
    for expression in fields.get_all("License-Expression") or []:
        return str(expression)
    for classifier in fields.get_all("Classifier") or []:
        if classifier.startswith("License ::") and not classifier.endswith("OSI Approved"):
            return str(classifier.rsplit(" :: ", 1)[-1])
    written = fields.get_all("License") or ["—"]
    return str(written[0]).splitlines()[0][:60]
