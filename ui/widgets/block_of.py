"""Which block paints which leaf of the Markdown."""

from __future__ import annotations

from ui.widgets.blocks import Block, ProseBlock, RuleBlock
from ui.widgets.code import CodeBlock
from ui.widgets.highlight import LexerShelf
from ui.widgets.ink import Ink
from ui.widgets.leaves import Code, Leaf, Prose, Rule, Table
from ui.widgets.table import TableBlock


def block_of(leaf: Leaf, ink: Ink, shelf: LexerShelf) -> Block:
    """Not laid out yet."""
    if isinstance(leaf, Prose):
        return ProseBlock(leaf, ink)
    if isinstance(leaf, Code):
        return CodeBlock(leaf, ink, shelf)
    if isinstance(leaf, Table):
        return TableBlock(leaf, ink)
    assert isinstance(leaf, Rule)
    return RuleBlock(leaf, ink)
