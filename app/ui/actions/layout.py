"""Where the actions of the table stand: menus, toolbars, headings; and what mouse and held keys do."""

from __future__ import annotations

from app.ui.actions.table import ACTIONS

MENUS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "File",
        (
            "file.open",
            "file.sample",
            "@recent",
            "-",
            "file.import",
            "file.export",
            "-",
            "file.save",
            "file.close",
            "-",
            "file.settings",
            "file.quit",
        ),
    ),
    (
        "Edit",
        (
            "edit.undo",
            "edit.redo",
            "edit.undo_batch",
            "-",
            "class.add",
            "class.import",
            "class.swap",
            "class.lock",
            "class.background_only",
            "-",
            "edit.clear",
            "-",
            "edit.size_down",
            "edit.size_up",
        ),
    ),
    (
        "View",
        (
            "page.label",
            "page.train",
            "page.explore",
            "-",
            "view.fit",
            "view.actual",
            "view.zoom_in",
            "view.zoom_out",
            "-",
            "view.overlay",
            "view.contours",
            "view.heat",
            "view.display",
            "view.reset_display",
            "-",
            "view.browser",
            "view.grid",
            "view.classes",
            "view.navigator",
            "view.jobs",
            "-",
            "view.full_screen",
        ),
    ),
    (
        "Image",
        (
            "image.next",
            "image.previous",
            "image.next_open",
            "image.previous_open",
            "-",
            "image.search",
            "image.reference",
        ),
    ),
    ("Tools", tuple(spec.id for spec in ACTIONS if spec.group == "tool")),
    (
        "Labels",
        (
            "label.propagate",
            "label.again",
            "-",
            "review.toggle",
            "review.accept",
            "review.reject",
            "review.skip",
            "review.suggested",
        ),
    ),
    (
        "Help",
        ("help.palette", "help.shortcuts", "help.edit_shortcuts", "-", "help.hardware", "help.diagnostics"),
    ),
)
"""Menu -> actions; `-` is a separator, `@recent` the list of recent projects."""

TOOLBAR: tuple[str, ...] = (
    "edit.undo",
    "edit.redo",
    "-",
    "view.fit",
    "view.overlay",
    "view.contours",
    "view.heat",
    "view.display",
)
TOOL_STRIP: tuple[str, ...] = (
    "tool.pan",
    "-",
    "tool.brush",
    "tool.eraser",
    "tool.polygon",
    "tool.fill",
    "-",
    "tool.wand",
    "tool.superpixels",
    "tool.smooth",
    "-",
    "tool.pick",
)

GESTURES: tuple[tuple[str, str], ...] = (
    ("Space + drag, middle button", "Move the image"),
    ("Wheel", "Zoom at the cursor"),
    ("Alt + right drag", "Change the brush size"),
    ("Alt + brush", "Erase while held"),
    ("Right button", "Erase with the brush, subtract with the polygon"),
    ("` (hold)", "Peek under the labels"),
    ("Enter, Esc, Backspace", "Close, drop or step back in a polygon"),
)
"""What mouse and held keys do in the canvas; shown in the shortcut sheet, not editable."""

SECTIONS: dict[str, str] = {
    "file": "Project",
    "edit": "Edit",
    "tool": "Tools",
    "class": "Classes",
    "view": "View",
    "page": "Pages",
    "image": "Images",
    "label": "Propagation",
    "review": "Review",
    "help": "Help",
}
"""First word of an action's id -> heading in the shortcut sheet."""
