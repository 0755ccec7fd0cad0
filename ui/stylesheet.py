"""The style sheet, built from a theme. It dresses standard widgets; what needs more paints itself.

A widget asks for a dress by a dynamic property: ``kind`` of a button (``primary``, ``quiet``, ``danger``, ``link``) or
a frame (``card``, ``side``, ``bar``, ``warning``, ``line`` …); ``tone`` of a label (``muted``, ``danger`` …).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.theme import Theme

_ICONS = (Path(__file__).resolve().parent.parent / "resources" / "icons").as_posix()


def style_sheet(t: Theme, line: int = 22) -> str:
    """The whole application's style sheet; ``line`` is how high a line of text is in a field, in pixels."""
    return "\n".join((_frames(t), _buttons(t), _fields(t, line), _lists(t), _small_parts(t)))


def _frames(t: Theme) -> str:
    return f"""
QWidget#page {{ background: {t.surface}; }}
QWidget#window, QFrame[kind="rail"], QFrame[kind="bar"] {{ background: {t.window}; }}
QFrame[kind="rail"] {{ border: none; border-right: 1px solid {t.border}; }}
QFrame[kind="bar"] {{ border: none; border-top: 1px solid {t.border}; }}
QFrame[kind="side"] {{ background: {t.raised}; border: none; }}
QFrame[kind="card"] {{ background: {t.raised}; border: 1px solid {t.border}; border-radius: 8px; }}
QFrame[kind="notice"] {{ background: {t.raised}; border: 1px solid {t.border_strong}; border-radius: 8px; }}
QFrame[kind="palette"] {{ background: {t.surface}; border: 1px solid {t.border_strong}; border-radius: 8px; }}
QFrame[kind="warning"] {{ background: {t.warning_soft}; border: 1px solid {t.warning}; border-radius: 8px; }}
QFrame[kind="danger"] {{ background: {t.danger_soft}; border: 1px solid {t.danger}; border-radius: 8px; }}
QFrame[kind="outside"] {{ background: {t.outside_soft}; border: 1px solid {t.outside}; border-radius: 8px; }}
QFrame[kind="success"] {{ background: {t.success_soft}; border: 1px solid {t.success}; border-radius: 8px; }}
QFrame[kind="sheet"] {{ background: {t.surface}; border: 1px solid {t.border_strong}; border-radius: 12px; }}
QFrame[kind="line"] {{ background: {t.border}; border: none; max-height: 1px; min-height: 1px; }}
QLabel {{ background: transparent; }}
QLabel[tone="muted"] {{ color: {t.muted}; }}
QLabel[tone="faint"] {{ color: {t.faint}; }}
QLabel[tone="accent"] {{ color: {t.accent}; }}
QLabel[tone="danger"] {{ color: {t.danger}; }}
QLabel[tone="warning"] {{ color: {t.warning}; }}
QLabel[tone="success"] {{ color: {t.success}; }}
QLabel[tone="outside"] {{ color: {t.outside}; }}
QSplitter::handle {{ background: {t.border}; }}
QSplitter::handle:horizontal {{ width: 1px; }}
QSplitter::handle:vertical {{ height: 1px; }}
QScrollArea[kind="boxed"] {{ border: 1px solid {t.border}; }}
QScrollArea[kind="clear"] {{ background: transparent; border: none; }}
QScrollArea, QScrollArea > QWidget > QWidget#page {{ background: {t.surface}; border: none; }}
"""


def _buttons(t: Theme) -> str:
    return f"""
QPushButton {{ background: {t.surface}; color: {t.text}; border: 1px solid {t.border_strong}; border-radius: 6px;
  padding: 5px 13px; min-height: 20px; }}
QPushButton:hover {{ background: {t.hover}; }}
QPushButton:pressed {{ background: {t.pressed}; }}
QPushButton:focus {{ border: 2px solid {t.focus}; padding: 4px 12px; }}
QPushButton:disabled {{ color: {t.faint}; background: {t.raised}; border-color: {t.border}; }}
QPushButton[kind="primary"] {{ background: {t.accent}; color: {t.accent_text}; border-color: {t.accent}; }}
QPushButton[kind="primary"]:hover {{ background: {t.accent_hover}; border-color: {t.accent_hover}; }}
QPushButton[kind="primary"]:focus {{ border: 2px solid {t.text}; }}
QPushButton[kind="primary"]:disabled {{ background: {t.pressed}; color: {t.faint}; border-color: {t.pressed}; }}
QPushButton[kind="outside"] {{ background: {t.outside}; color: {t.surface}; border-color: {t.outside}; }}
QPushButton[kind="outside"]:hover {{ border-color: {t.text}; }}
QPushButton[kind="outside"]:focus {{ border: 2px solid {t.text}; }}
QPushButton[kind="outside"]:disabled {{ background: {t.pressed}; color: {t.faint}; border-color: {t.pressed}; }}
QPushButton[kind="choice"]:checked {{ background: {t.accent_soft}; color: {t.accent}; border-color: {t.accent}; }}
QPushButton[kind="danger"] {{ color: {t.danger}; border-color: {t.danger}; }}
QPushButton[kind="quiet"] {{ background: transparent; border: 1px solid transparent; color: {t.muted}; }}
QPushButton[kind="quiet"]:hover {{ background: {t.hover}; color: {t.text}; }}
QPushButton[kind="quiet"]:focus {{ border: 2px solid {t.focus}; }}
QPushButton[kind="status"] {{ background: transparent; border: 1px solid transparent; color: {t.muted};
  padding: 1px 5px; min-height: 18px; text-align: left; }}
QPushButton[kind="status"]:hover {{ color: {t.text}; background: {t.hover}; }}
QPushButton[kind="status"]:focus {{ border: 1px solid {t.focus}; }}
QPushButton[kind="link"] {{ background: transparent; border: 1px solid transparent; color: {t.accent};
  padding: 2px 1px; }}
QPushButton[kind="link"]:hover {{ text-decoration: underline; }}
QPushButton[kind="link"]:focus {{ border: 2px solid {t.focus}; padding: 1px 0; }}
QToolButton {{ background: transparent; color: {t.muted}; border: 2px solid transparent; border-radius: 6px;
  padding: 4px; }}
QToolButton:hover {{ background: {t.hover}; color: {t.text}; }}
QToolButton:pressed {{ background: {t.pressed}; }}
QToolButton:checked {{ background: {t.accent_soft}; color: {t.accent}; }}
QToolButton:focus {{ border: 2px solid {t.focus}; }}
QToolButton:disabled {{ color: {t.faint}; }}
QToolButton[gate="ask"] {{ color: {t.accent}; }}
QToolButton[gate="open"] {{ background: {t.outside_soft}; color: {t.outside}; }}
QToolButton[gate="open"]:hover {{ color: {t.text}; }}
QPushButton[kind="status"][gate="open"] {{ background: {t.outside_soft}; color: {t.outside}; }}
QToolButton::menu-indicator {{ image: none; }}
"""


def _fields(t: Theme, line: int) -> str:
    return f"""
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox {{ background: {t.surface}; color: {t.text};
  border: 1px solid {t.border_strong}; border-radius: 6px; padding: 4px 8px; min-height: {line}px; max-height: {line}px;
  selection-background-color: {t.selection}; selection-color: {t.text}; }}
QLineEdit {{ padding: 4px 6px; }}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {{ border: 2px solid {t.focus};
  padding: 3px 7px; }}
QLineEdit:focus {{ padding: 3px 5px; }}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {{ color: {t.faint};
  background: {t.raised};
  border-color: {t.border}; }}
QLineEdit[kind="compact"] {{ padding: 1px 6px; min-height: {line - 4}px; max-height: {line - 4}px; }}
QLineEdit[kind="compact"]:focus {{ padding: 0 5px; }}
QAbstractSpinBox QLineEdit {{ border: none; padding: 0; min-height: 0; background: transparent; }}
QComboBox {{ padding-right: 24px; }}
QComboBox::drop-down {{ border: none; width: 24px; }}
QComboBox::down-arrow {{ image: url("{_ICONS}/chevron-down.{t.name}.svg"); width: 14px; height: 14px; }}
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {{ width: 0;
  border: none; }}
QComboBox QAbstractItemView {{ background: {t.surface}; border: 1px solid {t.border}; padding: 4px; outline: none; }}
QPlainTextEdit, QTextEdit {{ background: {t.surface}; color: {t.text}; border: 1px solid {t.border_strong};
  border-radius: 6px; selection-background-color: {t.selection}; selection-color: {t.text}; }}
QPlainTextEdit:focus, QTextEdit:focus {{ border: 1px solid {t.focus}; }}
QCheckBox, QRadioButton {{ color: {t.text}; spacing: 8px; padding: 3px 3px 3px 0; border: 2px solid transparent;
  border-radius: 6px; }}
QCheckBox:focus, QRadioButton:focus {{ border: 2px solid {t.focus}; }}
QCheckBox::indicator {{ width: 16px; height: 16px; border: 1px solid {t.border_strong}; border-radius: 4px;
  background: {t.surface}; }}
QCheckBox::indicator:checked {{ background: {t.accent}; border-color: {t.accent};
  image: url("{_ICONS}/check.{t.name}.svg"); }}
QSlider {{ min-height: 24px; border: 2px solid transparent; border-radius: 6px; }}
QSlider:focus {{ border: 2px solid {t.focus}; }}
QSlider::groove:horizontal {{ height: 4px; background: {t.bar_free}; border: 1px solid {t.border_strong};
  border-radius: 3px; }}
QSlider::sub-page:horizontal {{ background: {t.accent}; border: 1px solid {t.accent}; border-radius: 3px; }}
QSlider::handle:horizontal {{ width: 14px; height: 14px; margin: -6px 0; border-radius: 8px; background: {t.surface};
  border: 2px solid {t.accent}; }}
QSlider::sub-page:horizontal:disabled {{ background: {t.faint}; border-color: {t.faint}; }}
QSlider::handle:horizontal:disabled {{ border-color: {t.faint}; }}
"""


def _lists(t: Theme) -> str:
    return f"""
QListView, QTreeView, QTableView {{ background: {t.surface}; color: {t.text}; border: none; outline: none;
  selection-background-color: {t.selection}; selection-color: {t.text}; gridline-color: {t.border}; }}
QListView::item:hover, QTreeView::item:hover, QTableView::item:hover {{ background: {t.hover}; }}
QListView::item:selected, QTreeView::item:selected, QTableView::item:selected {{ background: {t.selection};
  color: {t.text}; }}
QTreeView, QTableView {{ border: 1px solid {t.border}; border-radius: 8px; }}
QTableView::item {{ padding: 0 8px; border: none; }}
QTreeView:focus, QTableView:focus {{ border: 1px solid {t.focus}; }}
QTableView::indicator {{ width: 16px; height: 16px; border: 1px solid {t.border_strong}; border-radius: 4px;
  background: {t.surface}; }}
QTableView::indicator:checked {{ background: {t.accent}; border-color: {t.accent};
  image: url("{_ICONS}/check.{t.name}.svg"); }}
QTableView[kind="plain"] {{ border: none; border-radius: 0; }}
QTableView[kind="plain"] QHeaderView::section {{ border-radius: 0; }}
QListView[kind="padded"]::item {{ padding: 0 8px; margin: 1px 4px; border-radius: 6px; }}
QFrame[kind="side"] QListView {{ background: transparent; }}
QPlainTextEdit[kind="plain"] {{ border: none; border-top: 1px solid {t.border}; border-radius: 0; padding: 8px 12px; }}
QHeaderView {{ background: transparent; border: none; }}
QHeaderView::section {{ background: {t.raised}; color: {t.muted}; border: none; border-bottom: 1px solid {t.border};
  padding: 6px 11px; }}
QHeaderView::section:first {{ border-top-left-radius: 7px; }}
QHeaderView::section:last {{ border-top-right-radius: 7px; }}
QTableView QTableCornerButton::section {{ background: {t.raised}; border: none; }}
QMenu {{ background: {t.surface}; color: {t.text}; border: 1px solid {t.border_strong}; padding: 4px; }}
QMenu::item {{ padding: 6px 24px 6px 12px; border-radius: 4px; }}
QMenu::item:selected {{ background: {t.selection}; color: {t.text}; }}
QMenu::item:disabled {{ color: {t.faint}; }}
QMenu::separator {{ height: 1px; background: {t.border}; margin: 4px 8px; }}
"""


def _small_parts(t: Theme) -> str:
    return f"""
QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.border_strong}; padding: 4px 6px; }}
QScrollBar:vertical {{ background: transparent; width: 12px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 0; }}
QScrollBar::handle {{ background: {t.border_strong}; border-radius: 3px; margin: 3px; min-height: 32px;
  min-width: 32px; }}
QScrollBar::handle:hover {{ background: {t.muted}; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{ background: none;
  border: none;
  width: 0; height: 0; }}
QAbstractScrollArea::corner {{ background: transparent; border: none; }}
QProgressBar {{ background: {t.bar_free}; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }}
QProgressBar::chunk {{ background: {t.accent}; border-radius: 3px; }}
QProgressBar[full="true"]::chunk {{ background: {t.danger}; }}
"""
