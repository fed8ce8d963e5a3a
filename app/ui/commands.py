"""What the actions do: one table of handlers, bound once a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from app.ui.actions import ACTIONS
from app.ui.texts import tr

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow
    from app.ui.workspace import Workspace

WorkspaceCommand = Callable[["Workspace"], object]


def _pick(digit: int) -> WorkspaceCommand:
    def pick(w: Workspace) -> None:
        found = w.project.classes.at_key(digit)
        if found is not None:
            w.options.pick_class(found.id)

    return pick


def _display(w: Workspace) -> None:
    from app.ui.dialogs.display import DisplayPopup

    popup = DisplayPopup(w.canvas.compositor.look, w)
    popup.changed.connect(lambda b, c: w.canvas.set_look(brightness=b, contrast=c))
    corner = w.canvas.mapToGlobal(w.canvas.rect().topLeft())
    popup.move(corner.x() + 16, corner.y() + 16)
    popup.show()


def _suggested(w: Workspace) -> None:
    found = w.review.controller.suggestion
    if found is not None:
        w.open_image(found.image_id)


WORKSPACE_COMMANDS: dict[str, WorkspaceCommand] = {
    "file.save": lambda w: w.said.emit(
        tr("Saved") if w.session.flush() else tr("Not everything could be saved")
    ),
    "edit.undo": lambda w: w.session.undo(),
    "edit.redo": lambda w: w.session.redo(),
    "edit.clear": lambda w: w.clear_labels(),
    "edit.size_down": lambda w: w.options.grow_brush(-1),
    "edit.size_up": lambda w: w.options.grow_brush(1),
    "edit.size_down_much": lambda w: w.options.grow_brush(-5),
    "edit.size_up_much": lambda w: w.options.grow_brush(5),
    **{f"class.pick_{digit}": _pick(digit) for digit in range(10)},
    "class.swap": lambda w: w.options.swap_class(),
    "class.lock": lambda w: w.classes.toggle_lock(w.options.class_id),
    "class.add": lambda w: w.classes.ask_new(),
    "class.import": lambda w: w.classes.ask_import(),
    "view.fit": lambda w: w.canvas.fit(),
    "view.actual": lambda w: w.canvas.zoom_to(1.0),
    "view.zoom_in": lambda w: w.canvas.zoom_step(1),
    "view.zoom_out": lambda w: w.canvas.zoom_step(-1),
    "view.display": _display,
    "view.reset_display": lambda w: w.canvas.set_look(brightness=0.0, contrast=0.0),
    "image.next": lambda w: w.step(1),
    "image.previous": lambda w: w.step(-1),
    "image.next_open": lambda w: w.step_to_review(1),
    "image.previous_open": lambda w: w.step_to_review(-1),
    "image.search": lambda w: w.browser.search.setFocus(),
    "image.reference": lambda w: w.toggle_reference(),
    "review.accept": lambda w: w.review.controller.accept(),
    "review.reject": lambda w: w.review.controller.reject(),
    "review.skip": lambda w: w.review.controller.skip(),
    "review.suggested": _suggested,
}
"""Commands on the open project."""

WORKSPACE_TOGGLES: dict[str, Callable[[Workspace, bool], object]] = {
    "class.background_only": lambda w, on: w.set_only_background(on),
    "view.overlay": lambda w, on: w.set_look(overlay=on),
    "view.contours": lambda w, on: w.set_look(contours=on),
    "view.heat": lambda w, on: w.set_heat(on),
    "view.grid": lambda w, on: w.browser.set_grid(on),
}
"""Commands on the open project that are on or off."""


def bind_all(window: MainWindow) -> None:
    """Give every action of the table its handler."""
    flows = window.flows
    window_commands: dict[str, Callable[[], object]] = {
        "file.open": window.ask_open,
        "file.sample": window.open_sample,
        "file.import": flows.ask_import,
        "file.export": flows.ask_export,
        "file.close": window.close_project,
        "file.settings": flows.show_settings,
        "file.quit": window.close,
        "edit.undo_batch": flows.undo_last_batch,
        "label.propagate": flows.ask_propagate,
        "label.again": flows.propagate_again,
        **{f"page.{page}": _go(window, page) for page in window.host.ids},
        "help.palette": flows.show_palette,
        "help.shortcuts": flows.show_shortcuts,
        "help.edit_shortcuts": flows.edit_shortcuts,
        "help.hardware": flows.show_hardware,
        "help.diagnostics": flows.show_diagnostics,
    }
    window_toggles: dict[str, Callable[[bool], object]] = {
        "review.toggle": window.set_review,
        "view.full_screen": window.set_full_screen,
        "view.browser": lambda on: window.docks["browser"].setVisible(on),
        "view.classes": lambda on: window.docks["classes"].setVisible(on),
        "view.navigator": lambda on: window.docks["navigator"].setVisible(on),
        "view.jobs": lambda on: window.docks["jobs"].setVisible(on),
    }
    for action_id, handler in window_commands.items():
        window.actions_by_id.bind(action_id, handler)
    for action_id, toggle in window_toggles.items():
        window.actions_by_id.bind_toggle(action_id, toggle)
    for action_id, command in WORKSPACE_COMMANDS.items():
        window.actions_by_id.bind(action_id, _with_workspace(window, command))
    for action_id, switch in WORKSPACE_TOGGLES.items():
        window.actions_by_id.bind_toggle(action_id, _switch_workspace(window, switch))
    for spec in ACTIONS:
        if spec.group == "tool":
            window.actions_by_id.bind(spec.id, _with_workspace(window, _tool(spec.id.partition(".")[2])))


def _go(window: MainWindow, page: str) -> Callable[[], None]:
    return lambda: window.show_page(page)


def _tool(name: str) -> WorkspaceCommand:
    return lambda w: w.canvas.set_tool(name)


def _with_workspace(window: MainWindow, command: WorkspaceCommand) -> Callable[[], None]:
    def call() -> None:
        if window.workspace is not None:
            command(window.workspace)

    return call


def _switch_workspace(
    window: MainWindow, switch: Callable[[Workspace, bool], object]
) -> Callable[[bool], None]:
    def call(on: bool) -> None:
        if window.workspace is not None:
            switch(window.workspace, on)

    return call
