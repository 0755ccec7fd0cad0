"""Downloads in a process of its own, to be killed: ``FOLDER REPO``."""

from __future__ import annotations

import sys
from pathlib import Path

from app.models.offers import Query
from tests.app.native import open_house


def main(folder: str, repo: str) -> None:
    with open_house(Path(folder), load_last_model=False) as house:
        hub = house.product.services.hub
        (found,) = house.product.run(hub.search(Query(repo)))
        choice = found.choice
        assert choice is not None
        house.product.run(hub.fetch(choice))
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
