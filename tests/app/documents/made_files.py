"""Documents made from nothing: a small PDF writer, pictures of text. Other formats are made by their libraries."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from PIL import Image, ImageDraw, ImageFont

_PADDING: Final = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


@dataclass
class PdfPage:
    """A page: text as (x, y from the top, size, words), lines as (x0, y0, x1, y1), a picture over all of it."""

    text: Sequence[tuple[float, float, float, str]] = ()
    lines: Sequence[tuple[float, float, float, float]] = ()
    picture: Image.Image | None = None
    rotate: int = 0
    width: float = 595
    height: float = 842
    content: bytes = b""
    fields: Sequence[tuple[str, str, tuple[float, float, float, float]]] = ()
    """Name, value, rectangle (PDF coordinates) of filled text fields."""
    turned: bool = False
    """Text drawn turned by a quarter, from bottom to top."""
    extra: dict[str, str] = field(default_factory=dict)


def pdf(*pages: PdfPage, password: str = "") -> bytes:
    """A PDF of these pages, encrypted with 40-bit RC4 when there is a password."""
    objects: list[bytes] = [b"", b""]  # catalogue and page tree come last, but are numbers 1 and 2

    def add(body: bytes) -> int:
        objects.append(body)
        return len(objects)

    font = add(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    kids, form_fields = [], []
    for page in pages:
        resources = f"/Font << /F1 {font} 0 R >>"
        content = page.content + _text(page) + _lines(page)
        if page.picture is not None:
            image = add(_image(page.picture))
            resources += f" /XObject << /I1 {image} 0 R >>"
            content = b"q %g 0 0 %g 0 0 cm /I1 Do Q\n" % (page.width, page.height) + content
        stream = add(_stream(content))
        widgets = []
        for name, value, rectangle in page.fields:
            numbers = " ".join(f"{value:g}" for value in rectangle)
            widgets.append(
                add(
                    f"<< /Type /Annot /Subtype /Widget /FT /Tx /T ({name}) /V ({value}) /Rect [{numbers}]"
                    f" /DA (/F1 10 Tf 0 g) /F 4 >>".encode("latin-1")
                )
            )
        form_fields += widgets
        annotations = f"/Annots [{' '.join(f'{w} 0 R' for w in widgets)}]" if widgets else ""
        kids.append(
            add(
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {page.width:g} {page.height:g}] /Rotate {page.rotate}"
                f" /Resources << {resources} >> /Contents {stream} 0 R {annotations} >>".encode()
            )
        )
    objects[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(f'{k} 0 R' for k in kids)}] >>".encode()
    references = " ".join(f"{number} 0 R" for number in form_fields)
    form = f"/AcroForm << /Fields [{references}] /DR << /Font << /F1 {font} 0 R >> >> >>" if form_fields else ""
    objects[0] = f"<< /Type /Catalog /Pages 2 0 R {form} >>".encode()
    return _file(objects, password)


def _text(page: PdfPage) -> bytes:
    parts = []
    for x, y, size, words in page.text:
        shown = words.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252", "replace")
        matrix = b"0 1 -1 0 %g %g" % (x, y) if page.turned else b"1 0 0 1 %g %g" % (x, page.height - y)
        parts.append(b"BT /F1 %g Tf %s Tm (%s) Tj ET\n" % (size, matrix, shown))
    return b"".join(parts)


def _lines(page: PdfPage) -> bytes:
    return b"".join(
        b"%g %g m %g %g l S\n" % (x0, page.height - y0, x1, page.height - y1) for x0, y0, x1, y1 in page.lines
    )


def _image(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=90)
    return _stream(
        buffer.getvalue(),
        b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8"
        b" /Filter /DCTDecode" % picture.size,
        packed=False,
    )


def _stream(data: bytes, dictionary: bytes = b"", *, packed: bool = True) -> bytes:
    if packed:
        data, dictionary = zlib.compress(data), dictionary + b" /Filter /FlateDecode"
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (dictionary, len(data), data)


def _file(objects: list[bytes], password: str) -> bytes:
    trailer = b""
    if password:
        key, entry = _encryption(password)
        objects = [_encrypted(body, number, key) for number, body in enumerate(objects, start=1)]
        objects.append(entry)
        trailer = b" /Encrypt %d 0 R /ID [<00> <00>]" % len(objects)
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R%s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, table)
    return bytes(out)


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def _encryption(password: str) -> tuple[bytes, bytes]:
    """The standard security handler, revision 2 (ISO 32000-1, 7.6.3): the key and the dictionary."""
    padded = (password.encode("latin-1") + _PADDING)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    key = hashlib.md5(padded + owner + b"\xfc\xff\xff\xff" + b"\0").digest()[:5]
    user = _rc4(key, _PADDING)
    entry = b"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <%s> /U <%s> >>"
    return key, entry % (owner.hex().encode(), user.hex().encode())


def _encrypted(body: bytes, number: int, key: bytes) -> bytes:
    head, found, rest = body.partition(b"stream\n")
    if not found:
        return body
    data = rest.removesuffix(b"\nendstream")
    own = hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10]
    return head + b"stream\n" + _rc4(own, data) + b"\nendstream"


def picture(lines: Sequence[str], size: tuple[int, int] = (700, 500), letter: int = 30) -> Image.Image:
    """Black text on white, one line under the other."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(letter)
    for number, line in enumerate(lines):
        draw.text((40, 40 + number * letter * 1.7), line, fill="black", font=font)
    return image


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


INVOICE: Final = PdfPage(
    text=(
        (50, 60, 20, "INVOICE"),
        (50, 100, 11, "Acme Trading Ltd"),
        (50, 116, 11, "12 High Street, Leeds"),
        (350, 100, 11, "Invoice no: 2024-117"),
        (350, 116, 11, "Date: 17.03.2024"),
        (50, 180, 11, "Widgets, blue"),
        (350, 180, 11, "3"),
        (450, 180, 11, "29.97"),
        (50, 196, 11, "Total"),
        (450, 196, 11, "€ 35.66"),
    )
)
