"""Pictures and scans: decoding within bounds, and recognition of text by rapidocr with the models in its wheel.

The page of a picture is the picture as a viewer shows it (EXIF applied); a pixel counts as a point. Runs in a reader
child only, where there is no network that onnxruntime could use; its telemetry is switched off besides.
"""

from __future__ import annotations

import io
import math
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from app.documents.draft import MAX_PAGES, MAX_PIXELS, MAX_SIDE, DraftPage, Findings, Mark, Token
from app.documents.faults import DocumentError, damaged
from app.documents.layout import clipped
from app.documents.line_words import split_line
from app.documents.recognisers import chosen
from app.documents.records import Box, DocumentKind

_FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
_MAX_THREADS: Final = 4
_TURNED_RATIO: Final = 1.5
_MIN_TURNED: Final = 0.6
_UPSIDE_DOWN: Final = 0.5
_MIN_SKEW: Final = 0.3
_PAGE_PX: Final = 2000
"""The longer side of a page as it is recognised: some 170 dots to the inch of A4."""
_MIN_SHORT_PX: Final = 900
"""A long, narrow receipt is not made narrower than this."""
_MAX_OCR_PX: Final = 5000
_MIN_SCORE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Recognised:
    """The words on a picture, in its pixels."""

    tokens: list[Token]
    rotation: int
    skew: float


class ImageDocument:
    """An open picture; each frame of a TIFF is a page."""

    kind = DocumentKind.IMAGE
    encrypted = False

    def __init__(self, data: bytes) -> None:
        try:
            Image.MAX_IMAGE_PIXELS = None  # its limit knows no numbers that a person could use; ours is in ``_check``
            self._image = Image.open(io.BytesIO(data), formats=_FORMATS)
            self.page_count = min(self._image.n_frames, MAX_PAGES) if isinstance(self._image, TiffImageFile) else 1
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, TypeError) as error:
            raise damaged("a picture", error) from error

    def pages(self, findings: Findings) -> Iterator[DraftPage]:
        if self.page_count == MAX_PAGES:
            findings.note(f"At most {MAX_PAGES:,} pages of a picture are read.")
        for number in range(1, self.page_count + 1):
            picture = self._frame(number)
            width, height = picture.size
            seen = recognise(picture)
            if not seen.tokens:
                findings.note(f"No text was found on page {number}." if self.page_count > 1 else "No text was found.")
            yield DraftPage(float(width), float(height), "ocr", seen.tokens, seen.rotation, seen.skew)

    def size(self, number: int) -> tuple[int, int]:
        """Width and height of a frame as shown."""
        self._check(number)
        width, height = self._image.size
        return (height, width) if self._image.getexif().get(0x0112, 1) in (5, 6, 7, 8) else (width, height)

    def picture(self, number: int, width_px: int) -> Image.Image:
        picture = self._frame(number)
        width, height = picture.size
        if width_px == width:
            return picture
        return picture.resize((width_px, max(1, round(height * width_px / width))), Image.Resampling.LANCZOS)

    def marked(self, marks: list[Mark]) -> Iterator[bytes]:
        from app.documents.markup import mark_picture, marked_pdf

        if self.page_count == 1:
            return mark_picture(self._frame(1), marks, 1.0)
        return marked_pdf(((self._frame(number), 1.0) for number in range(1, self.page_count + 1)), marks)

    def close(self) -> None:
        self._image.close()

    def _check(self, number: int) -> None:
        if not 1 <= number <= self.page_count:
            raise DocumentError("no_such_page", f"The picture has {self.page_count} pages; {number} is none of them.")
        try:
            self._image.seek(number - 1)
        except (OSError, EOFError, ValueError) as error:
            raise damaged("a picture", error) from error
        width, height = self._image.size
        if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
            raise DocumentError(
                "too_many_pixels",
                f"The picture has {width:,} × {height:,} pixels; at most {MAX_PIXELS // 10**6} million are read.",
                "Make it smaller: 300 dots to the inch are enough.",
            )

    def _frame(self, number: int) -> Image.Image:
        self._check(number)
        try:
            self._image.load()
            shown = ImageOps.exif_transpose(self._image)
            return _flat(shown)
        except (OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError, ZeroDivisionError) as error:
            raise damaged("a picture", error) from error


def _flat(picture: Image.Image) -> Image.Image:
    """In RGB, what is transparent on white."""
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        low, high = picture.convert("F").getextrema()
        scale = 255.0 / max(float(high) - float(low), 1e-6)  # type: ignore[arg-type]
        return picture.convert("F").point(lambda value: (value - low) * scale).convert("L").convert("RGB")
    if "A" in picture.getbands() or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        ground = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(ground, layered).convert("RGB")
    return picture.convert("RGB")


def recognise(picture: Image.Image) -> Recognised:
    """Words on an RGB picture with boxes in its pixels, whichever way up it is."""
    scale = min(1.0, _MAX_OCR_PX / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    seen = picture if scale == 1.0 else picture.resize((width, height))
    if chosen.get() == "tesseract":
        found, turn = _by_tesseract(seen)
        return Recognised(_as_it_was(found, turn, seen, scale), turn, 0.0)
    lines = _lines(seen)
    if not lines:
        return Recognised([], 0, 0.0)
    quarter = _quarter_turn(lines)
    turn = 0
    if quarter:
        # Lines that stand on end are read less well: turn the picture and look again.
        turn = 90
        lines = _lines(_turned(seen, turn))
    if lines and _upside_down(lines):
        turn = (turn + 180) % 360
        lines = _lines(_turned(seen, turn))
    tokens = _as_it_was([token for line in lines for token in line.tokens], turn, seen, scale)
    return Recognised(tokens, turn, _skew(lines))


def _by_tesseract(picture: Image.Image) -> tuple[list[Token], int]:
    """Words on the picture turned so that they are surest, and by how much it was turned."""
    from app.documents.tesseract import is_sure, read_words

    best, turn = read_words(picture), 0
    for other in (90, 180, 270) if not is_sure(best) else ():
        tokens = read_words(_turned(picture, other))
        if sum(token.score * len(token.text) for token in tokens) > sum(t.score * len(t.text) for t in best):
            best, turn = tokens, other
        if is_sure(best):
            break
    return best, turn


def _as_it_was(tokens: Sequence[Token], turn: int, seen: Image.Image, scale: float) -> list[Token]:
    """Words of the turned and scaled picture, on the picture as it was."""
    upright = seen.size if turn in (0, 180) else seen.size[::-1]
    placed = []
    for token in tokens:
        box = clipped(_back(token.box, turn, upright), *map(float, seen.size))
        if box is not None:
            scaled = Box(box.x0 / scale, box.y0 / scale, box.x1 / scale, box.y1 / scale)
            placed.append(Token(token.text, scaled, token.score))
    return placed


@dataclass(frozen=True, slots=True)
class _Line:
    corners: tuple[tuple[float, float], ...]
    """From the top left of the text, clockwise."""
    upside_down: bool
    tokens: list[Token]


def _turned(picture: Image.Image, clockwise: int) -> Image.Image:
    methods = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
    return picture.transpose(methods[clockwise]) if clockwise else picture


def _back(box: Box, turn: int, upright: tuple[int, int]) -> Box:
    """A box on the turned picture, on the picture as it was; ``upright`` is the turned one's size."""
    width, height = upright
    match turn:
        case 90:
            return Box(box.y0, width - box.x1, box.y1, width - box.x0)
        case 180:
            return Box(width - box.x1, height - box.y1, width - box.x0, height - box.y0)
        case 270:
            return Box(height - box.y1, box.x0, height - box.y0, box.x1)
        case _:
            return box


def _quarter_turn(lines: Sequence[_Line]) -> bool:
    """Whether most of the text stands on end."""
    upright = standing = 0.0
    for line in lines:
        width, height = _extent(line.corners)
        if height > _TURNED_RATIO * width:
            standing += height
        elif width > _TURNED_RATIO * height:
            upright += width
    return standing > _MIN_TURNED * (standing + upright) > 0


def _upside_down(lines: Sequence[_Line]) -> bool:
    long = [line for line in lines if _extent(line.corners)[0] > 3 * _extent(line.corners)[1]] or list(lines)
    return sum(line.upside_down for line in long) > _UPSIDE_DOWN * len(long)


def _extent(corners: Sequence[tuple[float, float]]) -> tuple[float, float]:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return max(xs) - min(xs), max(ys) - min(ys)


def _skew(lines: Sequence[_Line]) -> float:
    """By how many degrees long lines fall to the right."""
    angles = []
    for line in lines:
        (x0, y0), (x1, y1) = line.corners[0], line.corners[1]
        width, height = _extent(line.corners)
        if width > 5 * height and x1 != x0:
            angles.append(math.degrees(math.atan2(y1 - y0, x1 - x0)))
    skew = statistics.median(angles) if len(angles) >= 3 else 0.0
    return skew if _MIN_SKEW <= abs(skew) <= 20 else 0.0


@cache
def _engine() -> Any:
    """The recogniser; about a second to make, so once a child."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.return_word_box": True,
            "Global.text_score": _MIN_SCORE,
            "EngineConfig.onnxruntime.intra_op_num_threads": min(_MAX_THREADS, os.cpu_count() or 1),
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _lines(picture: Image.Image) -> list[_Line]:
    """One run of detection, direction and recognition."""
    engine = _engine()
    short, long = sorted(picture.size)
    engine.max_side_len = max(_PAGE_PX, min(_MAX_OCR_PX, round(long * min(1.0, _MIN_SHORT_PX / short))))
    pixels = engine.load_img(picture)
    image, record = engine.preprocess_img(pixels)
    try:
        detected, direction, recognised, crops = engine.run_ocr_steps(image, record)
    except Exception as error:
        if "bad_alloc" in str(error):  # onnxruntime's way of saying it
            raise MemoryError from error
        raise
    if detected.boxes is None or recognised.txts is None:
        return []
    labels = list(direction.cls_res or [])
    flipped = [bool(label and "180" in label[0] and label[1] > 0.7) for label in labels]
    kept = [index for index, text in enumerate(recognised.txts) if text.strip()]
    result = engine.build_final_output(pixels, detected, direction, recognised, crops, record)
    if result.boxes is None or not len(result):
        return []
    return list(_joined(result, flipped, kept))


def _joined(result: Any, flipped: list[bool], kept: list[int]) -> Iterator[_Line]:
    """Lines of tokens; the score filter of the library may have taken lines out, so directions go by majority then."""
    exact = len(kept) == len(result.boxes)
    most = sum(flipped) > len(flipped) / 2
    for index, (corners, text, score) in enumerate(zip(result.boxes, result.txts, result.scores, strict=True)):
        quad = tuple((float(x), float(y)) for x, y in corners)
        words = result.word_results[index] if index < len(result.word_results) else ()
        down = flipped[kept[index]] if exact and kept[index] < len(flipped) else most
        yield _Line(quad, down, _tokens(quad, str(text), float(score), words))


def _tokens(quad: Sequence[tuple[float, float]], text: str, score: float, words: Any) -> list[Token]:
    """The words of a line: by the recogniser's own boxes when they spell the line, else by their share of it."""
    found = []
    for word, word_score, corners in words or ():
        xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
        if word.strip():
            found.append(Token(word.strip(), Box(min(xs), min(ys), max(xs), max(ys)), float(word_score)))
    if found and [token.text for token in found] == text.split():
        return found
    xs, ys = [x for x, _ in quad], [y for _, y in quad]
    return split_line(text, Box(min(xs), min(ys), max(xs), max(ys)), score)
