"""Where the window and its panels were: kept with the settings, restored at the next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow

_LAYOUT_VERSION = 2
"""Raised when panels are added or renamed, so that an older layout is not taken."""


def keep_geometry(window: MainWindow) -> None:
    """Remember size and place of the window."""
    window.context.settings.set_state("window.geometry", bytes(window.saveGeometry().data()))


def restore_geometry(window: MainWindow) -> None:
    """Put the window where it was."""
    geometry = window.context.settings.state("window.geometry")
    if geometry is not None:
        window.restoreGeometry(geometry)


def keep_layout(window: MainWindow) -> None:
    """Remember which panels are shown and where; not in review, which hides some for its own purpose."""
    if window.workspace is not None and not window.workspace.review.is_active:
        layout = bytes(window.saveState(_LAYOUT_VERSION).data())
        window.context.settings.set_state("window.docks", layout)


def restore_layout(window: MainWindow) -> None:
    """Show the panels as they were; jobs of the past are no reason to show their panel."""
    layout = window.context.settings.state("window.docks")
    if layout is not None:
        window.restoreState(layout, _LAYOUT_VERSION)
        window.docks["jobs"].setVisible(window.context.jobs.is_busy)
