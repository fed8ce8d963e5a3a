"""Which actions are possible and which are on, from the state of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.status import Status
from app.ui.actions import ACTIONS
from app.ui.texts import tr

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow
    from app.ui.workspace import Workspace

_NEEDS_PROJECT = {
    "file.import",
    "file.export",
    "file.save",
    "file.close",
    "edit.undo",
    "edit.redo",
    "edit.undo_batch",
    "class.add",
    "class.import",
    "view.browser",
    "view.grid",
    "view.classes",
    "view.navigator",
    "view.jobs",
    "image.search",
    "label.propagate",
    "label.again",
    "review.toggle",
}
"""Actions of the scope `window` that do nothing without a project."""


_NEEDS_LABELLING = {
    "edit.undo",
    "edit.redo",
    "class.add",
    "class.import",
    "view.browser",
    "view.grid",
    "view.classes",
    "view.navigator",
    "image.search",
    "review.toggle",
}
"""Actions of the scope `window` whose effect only the page of labelling shows."""


def sync_actions(window: MainWindow) -> None:
    """Enable, check and name the actions as the window stands."""
    actions, workspace = window.actions_by_id, window.workspace
    reviewing = workspace is not None and workspace.review.is_active
    for spec in ACTIONS:
        needs = spec.scope != "window" or spec.id in _NEEDS_PROJECT
        possible = (workspace is not None or not needs) and (spec.scope != "review" or reviewing)
        if not window.host.is_labelling:
            possible = possible and spec.scope == "window" and spec.id not in _NEEDS_LABELLING
        actions[spec.id].setEnabled(possible)
    for name, dock in window.docks.items():
        actions[f"view.{name}"].setChecked(dock.isVisible())
    actions[f"page.{window.host.current}"].setChecked(True)
    actions["view.full_screen"].setChecked(window.isFullScreen())
    if workspace is not None:
        _sync_workspace(window, workspace)


def sync_history(window: MainWindow) -> None:
    """Enable undo and redo at once: a key pressed right after a stroke must not meet a disabled action."""
    workspace = window.workspace
    if workspace is None:
        return
    actions, session = window.actions_by_id, workspace.session
    for action_id, word, possible, what in (
        ("edit.undo", tr("Undo"), session.can_undo, session.undo_text),
        ("edit.redo", tr("Redo"), session.can_redo, session.redo_text),
    ):
        actions[action_id].setEnabled(possible and window.host.is_labelling)
        actions[action_id].setText(f"{word} {what}".strip() if possible else word)


def _sync_workspace(window: MainWindow, workspace: Workspace) -> None:
    actions = window.actions_by_id
    sync_history(window)
    look = workspace.canvas.compositor.look
    actions["view.overlay"].setChecked(look.overlay)
    actions["view.contours"].setChecked(look.contours)
    actions["view.heat"].setChecked(look.heat)
    actions["view.grid"].setChecked(workspace.browser.delegate.grid)
    actions["class.background_only"].setChecked(workspace.only_background)
    actions["review.toggle"].setChecked(workspace.review.is_active)
    actions[f"tool.{workspace.canvas.tool.name}"].setChecked(True)
    if workspace.image_id >= 0:
        rows = workspace.project.rows([workspace.image_id])
        actions["image.reference"].setChecked(bool(rows) and rows[0].status is Status.REFERENCE)
    actions["review.suggested"].setEnabled(workspace.review.is_active)
