"""Which hub is meant: the usual one, or the mirror that the environment names. Asking it is left to ``client.py``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
ENDPOINT_VARIABLE: Final = "HF_ENDPOINT"


def endpoint_of(environ: Mapping[str, str] = os.environ) -> str:
    """The hub, or the mirror that ``HF_ENDPOINT`` names."""
    return environ.get(ENDPOINT_VARIABLE, "").strip().rstrip("/") or DEFAULT_ENDPOINT


def host_of(endpoint: str) -> str:
    """The name to tell a person, e.g. ``huggingface.co``; the whole text when it is no address."""
    try:
        return urlsplit(endpoint).hostname or endpoint
    except ValueError:
        return endpoint
