"""The one table of actions: menus, toolbars, shortcut sheet, shortcut editor and command palette read it."""

from __future__ import annotations

from collections.abc import Mapping

from app.ui.actions.spec import ActionSpec


def _tool(
    name: str, text: str, icon: str, key: str, tip: str, presets: Mapping[str, tuple[str, ...]] | None = None
) -> ActionSpec:
    return ActionSpec(f"tool.{name}", text, icon, (key,), "canvas", tip, True, presets or {}, group="tool")


_FILE = (
    ActionSpec(
        "file.open", "Open folder…", "mdi6.folder-open-outline", ("Ctrl+O",), tip="Open a folder of images"
    ),
    ActionSpec("file.sample", "Open the sample project", "mdi6.flask-outline"),
    ActionSpec("file.import", "Import labels…", "mdi6.import", ("Ctrl+Shift+I",)),
    ActionSpec(
        "file.export",
        "Export…",
        "mdi6.export-variant",
        ("Ctrl+E",),
        tip="Write the label maps in the format another program reads",
        presets={"labelme": ("Ctrl+Shift+E",)},
    ),
    ActionSpec(
        "file.save",
        "Save now",
        "mdi6.content-save-outline",
        ("Ctrl+S",),
        tip="Everything is saved as you work; this waits for the disk",
    ),
    ActionSpec("file.close", "Close project", "mdi6.close", ("Ctrl+W",)),
    ActionSpec(
        "file.settings", "Settings…", "mdi6.cog-outline", ("Ctrl+,",), presets={"cvat": ("F2", "Ctrl+,")}
    ),
    ActionSpec("file.quit", "Quit", "mdi6.power", ("Ctrl+Q",)),
)

_EDIT = (
    ActionSpec(
        "edit.undo", "Undo", "mdi6.undo-variant", ("Ctrl+Z",), tip="Take back the last step on this image"
    ),
    ActionSpec("edit.redo", "Redo", "mdi6.redo-variant", ("Ctrl+Shift+Z", "Ctrl+Y")),
    ActionSpec(
        "edit.undo_batch",
        "Undo last propagation",
        "mdi6.backup-restore",
        tip="Take back the last step that changed many images",
    ),
    ActionSpec(
        "edit.clear",
        "Clear label map",
        "mdi6.delete-sweep-outline",
        ("Shift+Del",),
        "canvas",
        "Set every pixel that is not locked to background",
    ),
    ActionSpec("edit.size_down", "Smaller brush", "", ("[",), "canvas"),
    ActionSpec("edit.size_up", "Larger brush", "", ("]",), "canvas"),
    ActionSpec("edit.size_down_much", "Much smaller brush", "", ("Shift+[", "{"), "canvas"),
    ActionSpec("edit.size_up_much", "Much larger brush", "", ("Shift+]", "}"), "canvas"),
)

_TOOLS = (
    _tool(
        "pan",
        "Move",
        "mdi6.cursor-move",
        "V",
        "Drag to move the image; Space or the middle button does so in every tool",
    ),
    _tool(
        "brush",
        "Brush",
        "mdi6.brush",
        "B",
        "Paint the current class; right button erases",
        {"cvat": ("Shift+1",)},
    ),
    _tool("eraser", "Eraser", "mdi6.eraser", "E", "Paint background", {"cvat": ("Shift+2",)}),
    _tool(
        "polygon",
        "Polygon",
        "mdi6.vector-polygon",
        "P",
        "Click the corners; Enter or a double click fills, Shift subtracts",
        {"labelme": ("Ctrl+N",), "cvat": ("Shift+3",)},
    ),
    _tool(
        "fill",
        "Fill",
        "mdi6.format-color-fill",
        "F",
        "Fill the connected area under the cursor",
        {"cvat": ("Shift+F",)},
    ),
    _tool(
        "wand",
        "Magic wand",
        "mdi6.auto-fix",
        "W",
        "Click similar colours; drag sideways to change the tolerance",
    ),
    _tool(
        "superpixels",
        "Superpixels",
        "mdi6.hexagon-multiple-outline",
        "S",
        "Paint whole regions of similar colour",
    ),
    _tool(
        "smooth",
        "Smooth to edges",
        "mdi6.blur",
        "G",
        "Click a part: its outline moves to the edges in the image",
    ),
    _tool("pick", "Pick class", "mdi6.eyedropper", "I", "Take the class under the cursor"),
)

_CLASSES = (
    *(
        ActionSpec(
            f"class.pick_{n % 10}",
            f"Class {n}",
            "",
            (str(n % 10),),
            "canvas",
            presets={"cvat": (f"Ctrl+{n % 10}",)},
        )
        for n in range(1, 11)
    ),
    ActionSpec("class.swap", "Swap with the previous class", "mdi6.swap-horizontal", ("X",), "canvas"),
    ActionSpec(
        "class.lock",
        "Lock current class",
        "mdi6.lock-outline",
        ("L",),
        "canvas",
        "No tool changes pixels of a locked class",
    ),
    ActionSpec(
        "class.background_only",
        "Paint only on background",
        "mdi6.layers-outline",
        ("Shift+B",),
        "canvas",
        "Tools leave every labelled pixel as it is",
        True,
    ),
    ActionSpec("class.add", "Add class…", "mdi6.plus", ("Ctrl+Shift+N",)),
    ActionSpec(
        "class.import", "Import classes…", "mdi6.playlist-plus", tip="One name a line, from a text file"
    ),
)

_VIEW = (
    ActionSpec("view.fit", "Fit image", "mdi6.fit-to-page-outline", ("Ctrl+F", "Home"), "canvas"),
    ActionSpec(
        "view.actual",
        "100 %",
        "mdi6.numeric-1-box-outline",
        ("Ctrl+0",),
        "canvas",
        presets={"cvat": ("Ctrl+Alt+0",)},
    ),
    ActionSpec("view.zoom_in", "Zoom in", "mdi6.magnify-plus-outline", ("Ctrl++", "Ctrl+="), "canvas"),
    ActionSpec("view.zoom_out", "Zoom out", "mdi6.magnify-minus-outline", ("Ctrl+-",), "canvas"),
    ActionSpec(
        "view.overlay",
        "Show labels",
        "mdi6.eye-outline",
        ("H",),
        "canvas",
        "Hold ` to peek under the labels",
        True,
    ),
    ActionSpec(
        "view.contours",
        "Outlines only",
        "mdi6.vector-square",
        ("C",),
        "canvas",
        "Show the labels as outlines",
        True,
    ),
    ActionSpec(
        "view.heat",
        "Confidence heat map",
        "mdi6.thermometer-lines",
        ("M",),
        "canvas",
        "Show where the propagation is unsure",
        True,
    ),
    ActionSpec(
        "view.display",
        "Brightness and contrast",
        "mdi6.brightness-6",
        ("Shift+C",),
        "canvas",
        "Changes the display only, never the image",
    ),
    ActionSpec("view.reset_display", "Reset brightness and contrast", "", (), "canvas"),
    ActionSpec("view.browser", "Images", "mdi6.image-multiple-outline", ("F5",), checkable=True),
    ActionSpec("view.grid", "Images as a grid", "mdi6.view-grid-outline", ("Ctrl+G",), checkable=True),
    ActionSpec("view.classes", "Classes", "mdi6.palette-outline", ("F6",), checkable=True),
    ActionSpec("view.navigator", "Navigator", "mdi6.map-outline", ("F9",), checkable=True),
    ActionSpec("view.jobs", "Jobs", "mdi6.progress-clock", ("F7",), checkable=True),
    ActionSpec("view.full_screen", "Full screen", "mdi6.fullscreen", ("F11",), checkable=True),
)

_PAGES = (
    ActionSpec(
        "page.label",
        "Label",
        "mdi6.brush-outline",
        ("Alt+1",),
        tip="Paint, propagate and review",
        checkable=True,
        group="page",
    ),
    ActionSpec(
        "page.train",
        "Train",
        "mdi6.school-outline",
        ("Alt+2",),
        tip="Fit a model to a folder of your own images",
        checkable=True,
        group="page",
    ),
    ActionSpec(
        "page.explore",
        "Explore",
        "mdi6.compass-outline",
        ("Alt+3",),
        tip="See what a model has learned",
        checkable=True,
        group="page",
    ),
)

_IMAGES = (
    ActionSpec(
        "image.next", "Next image", "mdi6.chevron-down", ("D", "PgDown"), "canvas", presets={"cvat": ("F",)}
    ),
    ActionSpec(
        "image.previous",
        "Previous image",
        "mdi6.chevron-up",
        ("A", "PgUp"),
        "canvas",
        presets={"cvat": ("D",)},
    ),
    ActionSpec(
        "image.next_open",
        "Next image to review",
        "mdi6.chevron-double-down",
        ("Shift+D",),
        "canvas",
        presets={"labelme": ("Ctrl+Shift+D",), "cvat": ("Right",)},
    ),
    ActionSpec(
        "image.previous_open",
        "Previous image to review",
        "mdi6.chevron-double-up",
        ("Shift+A",),
        "canvas",
        presets={"labelme": ("Ctrl+Shift+A",), "cvat": ("Left",)},
    ),
    ActionSpec("image.search", "Search images", "mdi6.magnify", ("Ctrl+L", "/")),
    ActionSpec(
        "image.reference",
        "Use as reference",
        "mdi6.star-outline",
        ("R",),
        "canvas",
        "Propagation takes its labels from references",
        True,
    ),
)

_LABEL = (
    ActionSpec(
        "label.propagate",
        "Propagate…",
        "mdi6.creation",
        ("Ctrl+B",),
        tip="Carry the labels of the references to the other images",
    ),
    ActionSpec(
        "label.again",
        "Propagate again",
        "mdi6.refresh",
        ("Ctrl+Shift+B",),
        tip="Repeat with the corrected references; touches machine work only",
    ),
    ActionSpec(
        "review.toggle",
        "Review",
        "mdi6.clipboard-check-outline",
        ("Ctrl+R",),
        checkable=True,
        tip="Look at the least certain images first",
    ),
    ActionSpec(
        "review.accept",
        "Accept and go on",
        "mdi6.check-bold",
        ("Return", "Enter"),
        "review",
        presets={"labelme": ("Return", "Enter")},
    ),
    ActionSpec("review.reject", "Reject and go on", "mdi6.close-thick", ("Backspace",), "review"),
    ActionSpec(
        "review.skip",
        "Skip",
        "mdi6.skip-next",
        ("N",),
        "review",
        "Leave it in the queue and look at the next one",
    ),
    ActionSpec(
        "review.suggested",
        "Go to the suggested image",
        "mdi6.lightbulb-on-outline",
        ("Shift+R",),
        "review",
        "The image that would help the others most as a reference",
    ),
)

_HELP = (
    ActionSpec(
        "help.palette",
        "Command palette",
        "mdi6.apple-keyboard-command",
        ("Ctrl+K",),
        tip="Find every command by name",
    ),
    ActionSpec("help.shortcuts", "Keyboard shortcuts", "mdi6.keyboard-outline", ("F1",)),
    ActionSpec("help.edit_shortcuts", "Change shortcuts…", "mdi6.keyboard-settings-outline"),
    ActionSpec(
        "help.hardware",
        "Hardware",
        "mdi6.expansion-card",
        tip="On what models are computed and why; use the graphics card",
    ),
    ActionSpec("help.diagnostics", "About and diagnostics", "mdi6.information-outline"),
)

ACTIONS: tuple[ActionSpec, ...] = (
    *_FILE,
    *_EDIT,
    *_TOOLS,
    *_CLASSES,
    *_VIEW,
    *_PAGES,
    *_IMAGES,
    *_LABEL,
    *_HELP,
)
ACTION_BY_ID: dict[str, ActionSpec] = {spec.id: spec for spec in ACTIONS}
