"""HTML by selectolax: its visible text in lines, its tables as tables. Nothing is fetched, no script runs."""

from __future__ import annotations

import codecs
import re
from typing import Any, Final

from selectolax.lexbor import LexborHTMLParser

from app.documents.encoding import decode
from app.documents.faults import damaged
from app.documents.flow import FlowDocument, Grid, Item, Paragraph
from app.documents.records import DocumentKind

_HIDDEN: Final = frozenset(
    ("script", "style", "head", "template", "noscript", "svg", "math", "iframe", "object", "canvas", "select")
)
_BLOCK: Final = re.compile(
    "address|article|aside|blockquote|body|caption|center|d[dlt]|details|dialog|div|fieldset|figcaption|figure|footer"
    "|form|h[1-6]|header|hr|html|legend|li|main|nav|[ou]l|p|pre|section|summary|table|tbody|t[dhr]|tfoot|thead"
)
_SPACED: Final = re.compile("h[1-6]|p|blockquote|[ou]l|pre")
_MAX_DEPTH: Final = 400
_MAX_NODES: Final = 2_000_000


def open_html(data: bytes) -> FlowDocument:
    """The document. Raises ``DocumentError``."""
    text, encoding = decode(data)
    declared = _declared_encoding(data)
    if declared and encoding == "cp1252":
        text = data.decode(declared, "replace")
    return FlowDocument(DocumentKind.HTML, html_items(text))


def html_items(markup: str) -> list[Item]:
    """The visible text. Raises ``DocumentError``."""
    try:
        root = LexborHTMLParser(markup).body
    except (ValueError, RuntimeError) as error:
        raise damaged("an HTML page", error) from error
    if root is None:
        return []
    walk = _Walk()
    walk.children(root, 0)
    walk.flush()
    return walk.items


class _Walk:
    """Gathers text; a block's end ends a line, a table without tables in it becomes a grid."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._line: list[str] = []
        self._lines: list[str] = []
        self._nodes = 0

    def children(self, node: Any, depth: int) -> None:
        child = node.first_child
        while child is not None and self._nodes < _MAX_NODES:
            self._nodes += 1
            self._visit(child, depth)
            child = child.next

    def flush(self) -> None:
        self._end_line()
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        if self._lines:
            self.items.append(Paragraph("\n".join(self._lines)))
        self._lines = []

    def _visit(self, node: Any, depth: int) -> None:
        tag = node.tag or "-unknown"
        if tag == "-text":
            self._line.append(node.text_content or "")
        elif tag == "br":
            self._end_line()
        elif tag == "img":
            self._line.append(f" {node.attributes.get('alt') or ''} ")
        elif tag == "input":
            self._line.append(f" {node.attributes.get('value') or ''} ")
        elif tag in _HIDDEN or tag.startswith("-") or depth > _MAX_DEPTH or _is_hidden(node):
            return
        elif tag == "table" and node.css_first("table table") is None and _is_table(node):
            self.flush()
            self.items.append(Grid(_rows(node)))
        else:
            self._block(node, tag, depth)

    def _block(self, node: Any, tag: str, depth: int) -> None:
        block = _BLOCK.fullmatch(tag) is not None
        if block:
            self._end_line()
        if tag == "li":
            self._line.append("- ")
        self.children(node, depth + 1)
        if block:
            self._end_line()
        if _SPACED.fullmatch(tag) and self._lines and self._lines[-1]:
            self._lines.append("")

    def _end_line(self) -> None:
        line = " ".join("".join(self._line).split())
        self._line = []
        if line:
            self._lines.append(line)


def _is_hidden(node: Any) -> bool:
    attributes = node.attributes
    style = (attributes.get("style") or "").replace(" ", "").lower()
    return "hidden" in attributes or "display:none" in style or "visibility:hidden" in style


def _is_table(node: Any) -> bool:
    """Whether it holds data, and is not there for the look of a page."""
    rows = _rows(node)
    return len(rows) >= 2 and max(map(len, rows)) >= 2 and max(len(cell) for row in rows for cell in row) < 400


def _rows(node: Any) -> list[list[str]]:
    rows = []
    for row in node.css("tr"):
        cells = [" ".join(cell.text(deep=True, separator=" ").split()) for cell in row.css("td, th")]
        if cells:
            rows.append(cells)
    return rows


def _declared_encoding(data: bytes) -> str:
    found = re.search(rb"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{2,40})", data[:4096], re.IGNORECASE)
    try:
        return codecs.lookup(found[1].decode("ascii")).name if found else ""
    except LookupError:
        return ""
