"""Recognition by Tesseract's library, where the person has installed it. Runs in a reader child only, which may start
no program: so it is loaded, not run. Which installation, and whether it is asked, is ``recognisers``'s.

Source: capi.h of Tesseract 5; the columns of its TSV are level, page, block, paragraph, line, word, left, top, width,
height, confidence, text.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from PIL import Image

from app.documents.draft import Token
from app.documents.faults import DocumentError
from app.documents.recognisers import Tesseract, find_tesseract
from app.documents.records import Box

_MAX_THREADS: Final = 4
_WORD: Final = "5"
_COLUMNS: Final = 12
_ASSUMED_DPI: Final = 200
_SURE: Final = 0.6
"""Below it, on average, the picture may lie on its side or stand on its head."""
_LEAST: Final = 0.2


def read_words(picture: Image.Image) -> list[Token]:
    """Words of an upright picture with boxes in its pixels. Raises ``DocumentError`` where Tesseract is not."""
    library, handle = _engine()
    grey = picture.convert("L")
    library.TessBaseAPISetImage(handle, grey.tobytes(), grey.width, grey.height, 1, grey.width)
    library.TessBaseAPISetSourceResolution(handle, _ASSUMED_DPI)
    pointer = library.TessBaseAPIGetTsvText(handle, 0)
    try:
        table = ctypes.string_at(pointer).decode("utf-8", "replace") if pointer else ""
    finally:
        if pointer:
            library.TessDeleteText(pointer)
        library.TessBaseAPIClear(handle)
    return list(words_of(table))


def is_sure(tokens: list[Token]) -> bool:
    """Whether the words look as if the picture was upright."""
    return bool(tokens) and sum(token.score for token in tokens) / len(tokens) >= _SURE


def words_of(table: str) -> Iterator[Token]:
    """The words of Tesseract's TSV. Pure."""
    for line in table.splitlines():
        cells = line.split("\t", _COLUMNS - 1)
        if len(cells) != _COLUMNS or cells[0] != _WORD or not cells[11].strip():
            continue
        left, top, width, height = (float(cell) for cell in cells[6:10])
        score = float(cells[10]) / 100
        if score >= _LEAST and width > 0 and height > 0:
            text = "".join(cells[11].split())
            yield Token(text, Box(left, top, left + width, top + height), min(1.0, score))


@cache
def _engine() -> tuple[Any, int]:
    """The library and its handle, once a child."""
    found = find_tesseract()
    library = _load(found) if found is not None else None
    if found is None or library is None:
        raise DocumentError(
            "no_recogniser",
            "Tesseract was chosen to read scans, and it is not installed on this machine.",
            "Install it, or choose the built-in recogniser in Set-up.",
        )
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    library.TessBaseAPICreate.restype = pointer
    library.TessBaseAPIInit3.argtypes = (pointer, text, text)
    library.TessBaseAPISetImage.argtypes = (pointer, text, number, number, number, number)
    library.TessBaseAPISetSourceResolution.argtypes = (pointer, number)
    library.TessBaseAPIGetTsvText.argtypes = (pointer, number)
    library.TessBaseAPIGetTsvText.restype = pointer
    library.TessDeleteText.argtypes = (pointer,)
    library.TessBaseAPIClear.argtypes = (pointer,)
    handle = library.TessBaseAPICreate()
    if library.TessBaseAPIInit3(handle, os.fsencode(found.data), found.asked.encode()) != 0:
        raise DocumentError(
            "no_recogniser",
            f"Tesseract could not load its languages ({found.asked}) from {found.data}.",
            "Install them anew, or choose the built-in recogniser in Set-up.",
        )
    return library, handle


def _load(found: Tesseract) -> Any:
    os.environ.setdefault("OMP_THREAD_LIMIT", str(min(_MAX_THREADS, os.cpu_count() or 1)))
    for name in found.libraries:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue  # another version, or another system's name
    return None
