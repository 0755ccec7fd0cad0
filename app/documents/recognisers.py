"""Which recogniser reads scans: the built-in one, or Tesseract where the person has installed it and chosen it.

Looks at files only and loads nothing, so that settings and the doctor can ask. Recognising is ``image``'s and
``tesseract``'s, in a reader child.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Recogniser = Literal["built_in", "tesseract"]

chosen: ContextVar[Recogniser] = ContextVar("chosen_recogniser", default="built_in")
"""In a reader: for the question at hand."""

_SHARED: Final = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)
_NOT_LANGUAGES: Final = frozenset({"osd", "equ", "snum"})
_MOST_LANGUAGES: Final = 4
"""Each makes recognition slower."""
_LIBRARIES: Final = ("libtesseract.so.5", "libtesseract.so.4", "libtesseract.5.dylib", "libtesseract-5.dll")


@dataclass(frozen=True, slots=True)
class Tesseract:
    """An installation of Tesseract."""

    program: Path
    data: Path
    """The folder of its ``*.traineddata``."""
    languages: tuple[str, ...]
    """English first."""
    libraries: tuple[str, ...]
    """Names and paths under which its library may be loaded."""

    @property
    def asked(self) -> str:
        """The languages that are looked for on a page, as Tesseract writes it."""
        return "+".join(self.languages[:_MOST_LANGUAGES])


def find_tesseract(environment: Mapping[str, str] = os.environ) -> Tesseract | None:
    """Where Tesseract is, with at least one language; ``None`` when it is not installed."""
    program = shutil.which("tesseract", path=environment.get("PATH"))
    if program is None:
        return None
    place = Path(program).resolve()
    for folder in _data_folders(place, environment):
        languages = sorted(file.stem for file in folder.glob("*.traineddata") if file.stem not in _NOT_LANGUAGES)
        if languages:
            languages.sort(key=lambda name: name != "eng")
            return Tesseract(place, folder, tuple(languages), (*_beside(place), *_LIBRARIES))
    return None


def _data_folders(program: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    prefix = environment.get("TESSDATA_PREFIX")
    if prefix:
        yield Path(prefix)
        yield Path(prefix) / "tessdata"
    yield program.parent / "tessdata"
    yield program.parent.parent / "share" / "tessdata"
    yield from map(Path, _SHARED)


def _beside(program: Path) -> Iterator[str]:
    """The library that came with the program, rather than any other."""
    for folder in (program.parent, program.parent.parent / "lib"):
        for name in _LIBRARIES:
            if (folder / name).is_file():
                yield str(folder / name)
