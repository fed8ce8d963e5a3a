"""The stylesheet: small, made from the tokens, and only where the palette cannot say it."""

from __future__ import annotations

from string import Template

from app.ui.theme.tokens import Tokens
from resources import resource_path

_SHEET = Template(
    """
QWidget { color: $text; }
QMainWindow, QDialog { background: $window; }
QMainWindow::separator { background: $window; width: 5px; height: 5px; }
QMainWindow::separator:hover { background: $accent_soft; }
QToolTip { background: $raised; color: $text; border: 1px solid $strong_border; padding: 5px 7px; }

QMenuBar { background: $window; padding: 2px 6px; }
QMenuBar::item { padding: 4px 9px; border-radius: 5px; background: transparent; }
QMenuBar::item:selected { background: $hover; }
QMenu { background: $raised; border: 1px solid $strong_border; border-radius: 8px; padding: 5px; }
QMenu::item { padding: 5px 26px 5px 8px; border-radius: 5px; margin: 0 1px; }
QMenu::item:selected { background: $accent_soft; }
QMenu::item:disabled { color: $faint; }
QMenu::icon { padding-left: 6px; }
QMenu::separator { height: 1px; background: $border; margin: 5px 8px; }

QToolBar { background: $window; border: 0; padding: 4px 8px; spacing: 3px; }
QToolBar#tools { padding: 6px 4px; spacing: 2px; }
QToolBar::separator { background: $border; width: 1px; margin: 5px 5px; }
QToolBar#tools::separator { height: 1px; width: 20px; margin: 5px 6px; }
QToolButton { border: 1px solid transparent; border-radius: 6px; padding: 5px; background: transparent; }
QToolButton:hover { background: $hover; }
QToolButton:pressed { background: $pressed; }
QToolButton:checked { background: $accent_soft; border-color: transparent; }
QToolButton:focus { border-color: $accent; }
QToolButton:disabled { color: $faint; }

QFrame#switcher { background: $surface; border: 1px solid $border; border-radius: 9px; }
QFrame#switcher QToolButton { border-radius: 6px; padding: 4px 8px; color: $muted; }
QFrame#switcher QToolButton:hover { color: $text; background: transparent; }
QFrame#switcher QToolButton:checked { background: $accent_soft; color: $text; }
QFrame#switcher QToolButton:focus { border-color: $accent; }

QPushButton { background: $raised; border: 1px solid $strong_border; border-radius: 6px; padding: 6px 14px; }
QPushButton:hover { background: $hover; }
QPushButton:pressed { background: $pressed; }
QPushButton:focus { border-color: $accent; }
QPushButton:disabled { color: $faint; border-color: $border; background: $surface; }
QPushButton[kind="primary"] { background: $accent; color: $on_accent; border-color: $accent;
  font-weight: 600; }
QPushButton[kind="primary"]:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton[kind="primary"]:disabled { background: $hover; color: $faint; border-color: $border; }
QPushButton[kind="primary"]:focus { border: 1px solid $text; }
QPushButton[kind="quiet"] { background: transparent; border-color: transparent; }
QPushButton[kind="quiet"]:hover { background: $hover; }
QPushButton[kind="quiet"]:focus { border-color: $accent; }

QLineEdit, QPlainTextEdit, QTextEdit, QSpinBox, QDoubleSpinBox, QComboBox, QKeySequenceEdit {
  background: $raised; border: 1px solid $strong_border; border-radius: 6px; padding: 5px 8px;
  selection-background-color: $accent; selection-color: $on_accent; }
QLineEdit:focus, QPlainTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {
  border-color: $accent; }
QLineEdit:disabled, QSpinBox:disabled, QComboBox:disabled { color: $faint; background: $surface; }
QSpinBox, QDoubleSpinBox { padding: 4px 6px 3px 6px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { width: 0; border: 0; }
QSpinBox QLineEdit, QDoubleSpinBox QLineEdit, QComboBox QLineEdit, QKeySequenceEdit QLineEdit {
  border: 0; padding: 0 8px; background: transparent; }
QComboBox QLineEdit { padding: 0; }
QComboBox::drop-down { border: 0; width: 22px; }
QComboBox::down-arrow { image: url("$arrow"); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $strong_border; padding: 4px; outline: 0;
  selection-background-color: $accent_soft; selection-color: $text; }

QListView, QTreeView, QTableView { background: $surface; border: 0; outline: 0;
  selection-background-color: $accent_soft; selection-color: $text; }
QListView[kind="boxed"], QTreeView[kind="boxed"], QTableView[kind="boxed"] {
  border: 1px solid $border; border-radius: 8px; background: $raised; }
QListView::item, QTreeView::item, QTableView::item { padding: 4px; border: 0; }
QListView::item:selected, QTreeView::item:selected, QTableView::item:selected {
  background: $accent_soft; color: $text; }
QHeaderView::section { background: $surface; color: $muted; border: 0; border-bottom: 1px solid $border;
  padding: 6px 8px; font-weight: 600; }

QDockWidget { titlebar-close-icon: none; titlebar-normal-icon: none; }
QFrame#panel { background: $surface; border: 0; border-radius: 10px; }
QFrame#card { background: $raised; border: 1px solid $border; border-radius: 10px; }
QFrame#card[selected="true"] { border: 1px solid $accent; background: $accent_soft; }
QFrame#card[hoverable="true"]:hover { border-color: $accent; }
QFrame#card[hoverable="true"]:focus { border: 2px solid $accent; }
QFrame#step { background: $surface; border: 1px solid $border; border-radius: 12px; }
QWidget#figure { background: $hover; border: 0; border-radius: 8px; }
QToolButton[kind="entry"] { text-align: left; padding: 8px 10px; border-radius: 7px; }
QToolButton[kind="entry"]:checked { font-weight: 600; }
QToolButton[kind="legend"] { padding: 2px 8px 2px 5px; }
QToolButton[kind="legend"]:checked { background: transparent; }
QToolButton[kind="legend"]:!checked { color: $faint; }
QRadioButton::indicator { width: 14px; height: 14px; border-radius: 8px; border: 1px solid $strong_border;
  background: $raised; }
QRadioButton::indicator:hover, QRadioButton::indicator:focus { border-color: $accent; }
QRadioButton::indicator:checked { border: 5px solid $accent; width: 6px; height: 6px;
  background: $on_accent; }
QRadioButton:disabled { color: $faint; }
QFrame#bar { background: $surface; border: 0; border-radius: 10px; }
QFrame#line { background: $border; max-height: 1px; min-height: 1px; border: 0; }
QFrame#notice { background: $accent_soft; border: 0; border-radius: 8px; }
QFrame#notice[level="warn"] { background: $warn_soft; }
QFrame#notice[level="bad"] { background: $bad_soft; }
QFrame#notice[level="good"] { background: $good_soft; }

QLabel { background: transparent; }
QLabel[role="title"] { font-size: 24px; font-weight: 700; }
QLabel[role="heading"] { font-size: 16px; font-weight: 600; }
QLabel[role="section"] { font-weight: 600; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="faint"] { color: $faint; }
QLabel[role="key"] { background: $hover; border: 1px solid $border; border-radius: 4px; padding: 1px 6px;
  color: $muted; }
QLabel[role="bad"] { color: $bad; }
QLabel[role="warn"] { color: $warn; }
QLabel[role="good"] { color: $good; }

QProgressBar { background: $hover; border: 0; border-radius: 3px; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QProgressBar[state="failed"]::chunk { background: $bad; }
QProgressBar[state="done"]::chunk { background: $good; }
QProgressBar[state="paused"]::chunk { background: $warn; }

QSlider::groove:horizontal { height: 4px; background: $pressed; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal { background: $raised; border: 1px solid $strong_border; width: 14px; height: 14px;
  margin: -6px 0; border-radius: 8px; }
QSlider::handle:horizontal:hover { border-color: $accent; }
QSlider[kind="centred"]::sub-page:horizontal { background: $pressed; }
QSlider[kind="centred"]::handle:horizontal { background: $accent; border-color: $accent; }
QSlider::sub-page:horizontal:disabled { background: $faint; }

QCheckBox, QRadioButton { spacing: 8px; padding: 3px 0; }
QCheckBox::indicator, QListView::indicator { width: 16px; height: 16px; border-radius: 4px;
  border: 1px solid $strong_border; background: $raised; }
QCheckBox::indicator:hover, QListView::indicator:hover { border-color: $accent; }
QCheckBox::indicator:focus { border-color: $accent; }
QCheckBox::indicator:checked, QListView::indicator:checked { background: $accent; border-color: $accent;
  image: url("$check"); }
QSplitter::handle { background: $window; }
QSplitter::handle:hover { background: $accent_soft; }
QStatusBar { background: $window; color: $muted; }
QStatusBar::item { border: 0; }
QStatusBar QLabel { color: $muted; padding: 0 8px; }
QScrollArea { border: 0; background: transparent; }
QScrollArea > QWidget > QWidget#page { background: transparent; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 2px; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 2px; }
QScrollBar::handle { background: $strong_border; border-radius: 3px; min-height: 28px; min-width: 28px; }
QScrollBar::handle:hover { background: $faint; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QTabBar::tab { padding: 7px 14px; border: 0; color: $muted; border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; }
QTabWidget::pane { border: 0; border-top: 1px solid $border; }
"""
)


def build_stylesheet(tokens: Tokens) -> str:
    """Return the application's stylesheet in the colours of `tokens`."""
    arrow = resource_path(f"icons/chevron-down-{tokens.name}.svg").as_posix()
    check = resource_path(f"icons/check-{tokens.name}.svg").as_posix()
    return _SHEET.substitute(vars(tokens), arrow=arrow, check=check)
