"""What a file is, by its content. The name decides only between kinds of plain text that content leaves open."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import PurePath
from typing import Final

from app.documents.encoding import decode
from app.documents.faults import DocumentError, bomb, damaged
from app.documents.records import DocumentKind

_MAX_UNPACKED_BYTES: Final = 1 << 30
_MAX_RATIO: Final = 250
_RATIO_MATTERS_BYTES: Final = 32 << 20
_MAX_MEMBERS: Final = 20_000
_HEAD_BYTES: Final = 16 << 10
_MARKDOWN_SIGNS: Final = 3

_PICTURES: Final = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
)
_MAIL_HEADER: Final = re.compile(
    rb"^(?:From|To|Subject|Date|Message-ID|MIME-Version|Received|Return-Path|Delivered-To|Reply-To|Content-Type"
    rb"|X-[A-Za-z-]+|DKIM-Signature|Authentication-Results|ARC-Seal):[ \t]",
    re.IGNORECASE | re.MULTILINE,
)
_HTML: Final = re.compile(rb"<!doctype\s+html|<html[\s>]|<(?:body|head|table|div|p|br)[\s/>]", re.IGNORECASE)
_MARKDOWN: Final = re.compile(
    r"^#{1,6} \S|^```|^\s*[-*+] \S|^> \S|\[[^\]\n]+\]\([^)\n]+\)|^\|.*\|\s*$|\*\*\S[^*\n]*\*\*", re.MULTILINE
)
_UNREAD: Final = {
    b"{\\rtf": "an RTF text",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf'\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"%!PS": "a PostScript file",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"SQLite format 3\0": "a database",
    b"GGUF": "a model",
}
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def identify(data: bytes, name: str) -> DocumentKind:
    """The kind of a file. Raises ``DocumentError`` for what no reader takes."""
    head = data[:_HEAD_BYTES]
    if b"%PDF-" in head[:1024]:
        return DocumentKind.PDF
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return DocumentKind.IMAGE
    if head.startswith(b"PK"):
        return _office_kind(data)
    if head.startswith(_OLE):
        raise _old_office(data)
    if head[4:8] == b"ftyp":
        raise DocumentError("unsupported_kind", "The file is an HEIC picture or a film, which is not read.", _HINT)
    for start, what in _UNREAD.items():
        if head.startswith(start):
            raise DocumentError("unsupported_kind", f"The file is {what}, which is not read.", _HINT)
    if _is_binary(head):
        raise DocumentError("unknown_kind", "The file is none of the kinds that can be read.", _HINT)
    return _text_kind(head, name)


_HINT: Final = "Read are PDF, pictures, DOCX, XLSX, PPTX, HTML, EML, CSV, Markdown and text."


def _office_kind(data: bytes) -> DocumentKind:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise damaged("an office file or archive", error) from error
    check_archive(members, len(data))
    names = {member.filename for member in members}
    for part, kind in (
        ("word/document.xml", DocumentKind.DOCX),
        ("xl/workbook.xml", DocumentKind.XLSX),
        ("ppt/presentation.xml", DocumentKind.PPTX),
    ):
        if part in names:
            return kind
    raise DocumentError("unsupported_kind", "The file is an archive, not a document.", "Unpack it, and add its files.")


def check_archive(members: list[zipfile.ZipInfo], size_bytes: int) -> None:
    """Refuse an archive that would unpack to a flood, before anything is unpacked. Raises ``DocumentError``."""
    unpacked = sum(member.file_size for member in members)
    if len(members) > _MAX_MEMBERS:
        raise bomb(f"The file holds {len(members):,} parts; at most {_MAX_MEMBERS:,} are taken.")
    flood = unpacked > _RATIO_MATTERS_BYTES and unpacked > _MAX_RATIO * size_bytes
    if unpacked > _MAX_UNPACKED_BYTES or flood:
        raise bomb(
            f"The file has {size_bytes / 1e6:,.1f} MB and would unpack to {unpacked / 1e6:,.0f} MB; that is not done."
        )


def _old_office(data: bytes) -> DocumentError:
    what = "an Outlook message" if "__substg1.0_".encode("utf-16-le") in data else "an office file of before 2007"
    wanted = "EML" if "Outlook" in what else "DOCX, XLSX, PPTX or PDF"
    return DocumentError("unsupported_kind", f"The file is {what}, which is not read.", f"Save it as {wanted}.")


def _is_binary(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return False
    if b"\0" in head:
        # UTF-16 without a mark: every other byte of Western text is zero, and only there.
        zeros = (head[::2].count(0), head[1::2].count(0))
        return min(zeros) > len(head) // 100 or max(zeros) < len(head) // 4
    control = sum(head.count(byte) for byte in range(32) if byte not in (9, 10, 12, 13, 27))
    return control > len(head) // 50


def _text_kind(head: bytes, name: str) -> DocumentKind:
    suffix = PurePath(name).suffix.lower()
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _looks_like_mail(start):
        return DocumentKind.MAIL
    found = _HTML.search(head)
    if found and (found.start() < 1024 or suffix in (".html", ".htm", ".xhtml")) and start[:1] == b"<":
        return DocumentKind.HTML
    text = decode(head)[0]
    if suffix not in (".md", ".markdown") and _looks_like_csv(text, named=suffix in (".csv", ".tsv")):
        return DocumentKind.CSV
    signs = len(_MARKDOWN.findall(text))
    if signs >= _MARKDOWN_SIGNS or (signs and suffix in (".md", ".markdown")):
        return DocumentKind.MARKDOWN
    return DocumentKind.TEXT


def _looks_like_mail(start: bytes) -> bool:
    """Two known headers and nothing but headers before the first empty line."""
    headers = re.split(rb"\r?\n\r?\n", start, maxsplit=1)[0]
    lines = [line for line in headers.splitlines() if line[:1] not in (b" ", b"\t")]
    if lines and lines[0].startswith(b"From "):  # the first line of a message from an mbox
        lines = lines[1:]
    shaped = all(re.match(rb"[!-9;-~]+:", line) for line in lines[:-1]) and bool(lines)
    return shaped and len(_MAIL_HEADER.findall(headers)) >= 2


def _looks_like_csv(text: str, *, named: bool) -> bool:
    """The same number of delimiters, outside quotes, on nearly every line."""
    return delimiter_of(text, named=named) != ""


def delimiter_of(text: str, *, named: bool) -> str:
    """The delimiter of a table in text form, or nothing when the text is none."""
    lines = [line for line in text.splitlines()[:-1] or text.splitlines() if line.strip()][:40]
    if len(lines) < (1 if named else 3):
        return ""
    best, best_fields = "", 1
    for delimiter in "\t;,|":
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        except csv.Error:
            continue
        usual = max(set(counts), key=counts.count) if counts else 0
        steady = counts.count(usual) >= (0.6 if named else 0.95) * len(counts)
        needed = 2 if named or delimiter in "\t;|" else 3
        if steady and usual >= needed and usual > best_fields:
            best, best_fields = delimiter, usual
    return best
