"""One open project on the screen: canvas, reference, browser, classes, and what connects them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSplitter, QWidget

from app.domain.project import Project
from app.domain.status import Status
from app.services.changes import Changes
from app.services.document import Document
from app.services.image_loader import ImageLoader
from app.services.session import Session
from app.services.tasks import Worker
from app.services.thumbnails import ThumbnailLoader
from app.ui.actions import ActionRegistry
from app.ui.canvas.canvas_view import CanvasView
from app.ui.canvas.options import ToolOptions
from app.ui.canvas.pyramid import Pyramid
from app.ui.context import AppContext
from app.ui.images import ImageStore
from app.ui.panels.browser_panel import BrowserPanel
from app.ui.panels.classes_panel import ClassesPanel
from app.ui.panels.navigator import Navigator
from app.ui.panels.options_bar import OptionsBar
from app.ui.review_mode import ReviewMode
from app.ui.texts import tr
from app.ui.widgets.basics import Notice, button, column

_TRIED = 20
"""Images that are tried at opening until one can be shown."""


class Workspace(QWidget):
    """Everything that lives as long as a project is open; the main window puts its panels into docks."""

    said = Signal(str)
    """Something for the status bar."""
    hovered = Signal(str, str)
    """Pixel and class under the cursor, in words; empty when there is none."""
    imageChanged = Signal(int)  # noqa: N815
    """Another image is in view; -1 for none."""
    stateChanged = Signal()  # noqa: N815
    """Undo, redo, status or tool changed: actions may have to follow."""

    def __init__(
        self, context: AppContext, actions: ActionRegistry, project: Project, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.context = context
        self.project = project
        settings = context.settings
        self.session = Session(project, jobs=context.jobs, settings=settings, parent=self)
        self.worker = Worker(threads=2, parent=self)
        self.loader = ImageLoader(limit_bytes=settings.get("saving.image_cache_mb") << 20, parent=self)
        self.thumbnails = ThumbnailLoader(
            project,
            cache=settings.paths.cache / "thumbnails",
            disk_bytes=settings.get("browser.cache_mb") << 20,
            parent=self,
        )
        self.images = ImageStore(project, self.loader, self.worker, self)
        self.options = ToolOptions(self)
        self.canvas = CanvasView(self.options, self.worker)
        self.options_bar = OptionsBar(self.options)
        self.browser = BrowserPanel(project, self.thumbnails)
        self.classes = ClassesPanel(self.session, self.options)
        self.navigator = Navigator(self.canvas)
        self.review = ReviewMode(context, actions, self.session, self.images, self.canvas, self.worker, self)
        self.problem = Notice(level="bad")
        self.problem.add_button(button(tr("Dismiss"), self.problem.hide, kind="quiet"))
        self.problem.hide()
        self._image_id = -1
        self._only_background = False
        self._had_classes = False
        self._lay_out()
        self._connect()
        self._take_settings()
        self._classes_changed()

    def _lay_out(self) -> None:
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setHandleWidth(8)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.review.pane)
        self.splitter.addWidget(self.review.query_pane)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setStretchFactor(1, 1)
        layout = column(self.options_bar, self.problem, self.splitter, self.review.bar, spacing=6)
        layout.setStretch(2, 1)
        self.setLayout(layout)

    def _connect(self) -> None:
        session, canvas = self.session, self.canvas
        session.changed.connect(self._changed)
        session.historyChanged.connect(self.stateChanged)
        session.notice.connect(self.said)
        session.failed.connect(self.show_problem)
        session.documentChanged.connect(self._document_changed)
        self.images.ready.connect(self._image_ready)
        self.images.failed.connect(self._image_failed)
        self.browser.opened.connect(self.open_image)
        self.browser.statusAsked.connect(session.set_status)
        self.review.opened.connect(self.open_image)
        self.review.said.connect(self.said)
        canvas.hovered.connect(self._hovered)
        canvas.left.connect(lambda: self.hovered.emit("", ""))
        canvas.said.connect(self.said)
        canvas.classNeeded.connect(self.classes.ask_first)
        canvas.toolChanged.connect(self.options_bar.show_tool)
        self.options.changed.connect(self._option_changed)
        self.options_bar.opacityChanged.connect(self._opacity_changed)
        self.options_bar.onlyBackgroundChanged.connect(self.set_only_background)
        self.context.settings.changed.connect(self._setting_changed)
        self.context.theme.changed.connect(self._theme_changed)

    def show_problem(self, text: str) -> None:
        """Say what went wrong until it is dismissed."""
        self.problem.show_text(text, "bad")
        self.problem.show()

    def _take_settings(self) -> None:
        get = self.context.settings.get
        self.options.set("brush_px", round(get("canvas.brush_px")))
        self.options.set("tolerance", get("canvas.wand_tolerance"))
        self.options.set("superpixel_px", get("canvas.superpixel_px"))
        self.options_bar.opacity.setValue(round(100 * get("canvas.opacity")))
        self.canvas.set_look(
            opacity=get("canvas.opacity"),
            contours=get("canvas.contour"),
            grid_scale=get("canvas.pixel_grid"),
            smooth=get("canvas.smooth_zoom"),
        )
        self.browser.set_thumbnail_px(get("browser.thumbnail_px"))
        self.review.take_look(self.canvas.compositor.look)
        self.thumbnails.set_overlay(get("browser.overlay"))

    def _setting_changed(self, key: str) -> None:
        if key.startswith(("canvas.", "browser.")):
            self._take_settings()

    def _opacity_changed(self, opacity: float) -> None:
        self.set_look(opacity=opacity)
        self.context.settings.set("canvas.opacity", opacity)

    def set_look(self, **changes: object) -> None:
        """Change how image and labels are shown, in both views."""
        self.canvas.set_look(**changes)
        self.review.take_look(self.canvas.compositor.look)
        self.stateChanged.emit()

    # -- the open image ----------------------------------------------------------------------------

    @property
    def image_id(self) -> int:
        """The image in view, -1 for none."""
        return self._image_id

    @property
    def document(self) -> Document | None:
        """The label map in view."""
        return self.session.document

    def start(self) -> None:
        """Show the list, begin the scan, open the first image."""
        self.canvas.setFocus()
        self.browser.load()
        self.session.start_scan()
        self._open_first()

    def _open_first(self) -> None:
        """Open the first reference, or the first image that can be shown."""
        if self._image_id < 0 and self.browser.model.rowCount():
            firsts = [*self.project.references(), *(int(i) for i in self.browser.model.ids[:_TRIED])]
            for image_id in firsts:
                self.open_image(image_id)
                if self.session.document is not None:
                    break

    def open_image(self, image_id: int) -> None:
        """Show an image; what is wrong with it is said in its place."""
        if image_id == self._image_id and self.session.document is not None:
            self.review.image_shown(image_id)
            return
        self.canvas.tool.deactivate()
        self._image_id = image_id
        self.browser.show_current(image_id)
        try:
            self.session.open_image(image_id)
        except Exception as error:  # noqa: BLE001  an image that cannot be shown must not close the window
            self.session.close_image()
            self.canvas.set_image(None, str(error))
        else:
            pyramid = self.images.get(image_id)
            self.canvas.set_image(pyramid, tr("Loading…"))
            if pyramid is not None:
                self._shown()
        self._show_confidence()
        self._prefetch()
        self.imageChanged.emit(image_id)
        self.stateChanged.emit()

    def _document_changed(self, document: Document | None) -> None:
        self.canvas.set_document(document)
        if document is not None:
            document.saveFailed.connect(lambda _id, text: self.show_problem(text))
            self._apply_rules()

    def _image_ready(self, image_id: int, pyramid: Pyramid) -> None:
        if image_id == self._image_id and self.session.document is not None:
            self.canvas.set_image(pyramid)
            self._shown()

    def _shown(self) -> None:
        self.canvas.update_cursor()
        self.canvas.tool.activate()
        self.review.image_shown(self._image_id)

    def _image_failed(self, image_id: int, reason: str) -> None:
        if image_id == self._image_id:
            self.canvas.set_image(None, reason)

    def _prefetch(self) -> None:
        """Have the images ready that are likely to come next."""
        wanted = self.review.controller.upcoming(2) if self.review.is_active else []
        wanted += [i for i in (self.browser.neighbour(1), self.browser.neighbour(-1)) if i is not None]
        self.images.prefetch(wanted)
        self.session.prefetch_labels(wanted)

    def _show_confidence(self) -> None:
        """Read the confidence for the heat map, only when somebody looks at it."""
        if not self.canvas.compositor.look.heat or self._image_id < 0:
            self.canvas.set_confidence(None)
            return
        image_id = self._image_id

        def read() -> np.ndarray | None:
            found = self.project.confidence(image_id)
            return None if found is None else np.round(np.clip(found, 0, 1) * 255).astype(np.uint8)

        def show(found: np.ndarray | None) -> None:
            if image_id == self._image_id:
                self.canvas.set_confidence(found)

        self.worker.run(read, show, lambda _error: None)

    def set_heat(self, on: bool) -> None:
        """Show or hide the heat map."""
        self.set_look(heat=on)
        self._show_confidence()

    def step(self, direction: int) -> None:
        """Show the next (1) or previous (-1) image of the list."""
        found = self.browser.neighbour(direction)
        if found is not None:
            self.open_image(found)

    def step_to_review(self, direction: int) -> None:
        """Show the next or previous image that awaits review."""
        waiting = {int(i) for i in self.project.ids("status:propagated")}
        ids = [int(i) for i in self.browser.model.ids]
        place = ids.index(self._image_id) if self._image_id in ids else -1
        order = ids[place + 1 :] if direction > 0 else ids[: max(place, 0)][::-1]
        found = next((i for i in order if i in waiting), None)
        if found is None:
            self.said.emit(tr("No more images to review in this direction"))
        else:
            self.open_image(found)

    # -- changes -----------------------------------------------------------------------------------

    def _changed(self, changes: Changes) -> None:
        if changes.listing:
            self.browser.load()
            self._open_first()
        if changes.labels:
            self.thumbnails.invalidate(changes.labels)
        if changes.images or changes.labels:
            self.browser.refresh(changes.images | changes.labels)
        if changes.classes:
            self._classes_changed()
        if self._image_id in changes.labels and changes.initiator is not self.session.document:
            self._show_confidence()
        self.review.take(changes)
        self.stateChanged.emit()

    def _classes_changed(self) -> None:
        classes = self.project.classes
        self.canvas.set_classes(classes)
        self.review.set_classes(classes)
        self.classes.refresh()
        self.thumbnails.invalidate(self.browser.visible_ids())
        if classes.get(self.options.class_id) is None or (not self._had_classes and len(classes.ids) > 1):
            self.options.pick_class(classes.ids[min(1, len(classes.ids) - 1)])
        self._had_classes = len(classes.ids) > 1
        self._apply_rules()
        self.options_bar.show_class(classes.get(self.options.class_id))

    def set_only_background(self, on: bool) -> None:
        """Let tools change background only."""
        self._only_background = on
        self.options_bar.only_background.setChecked(on)
        self._apply_rules()
        self.stateChanged.emit()

    @property
    def only_background(self) -> bool:
        """Whether tools change background only."""
        return self._only_background

    def _apply_rules(self) -> None:
        document = self.session.document
        if document is not None:
            document.rules = replace(
                document.rules, locked=self.project.classes.locked_ids, only_background=self._only_background
            )

    def _option_changed(self, name: str) -> None:
        if name == "class_id":
            self.options_bar.show_class(self.project.classes.get(self.options.class_id))
        keys = {
            "brush_px": "canvas.brush_px",
            "tolerance": "canvas.wand_tolerance",
            "superpixel_px": "canvas.superpixel_px",
        }
        if name in keys:
            self.context.settings.set(keys[name], getattr(self.options, name))

    def _hovered(self, column: int, row: int) -> None:
        document = self.session.document
        where = f"{column}, {row}"
        if document is None:
            self.hovered.emit(where, "")
            return
        class_id = int(document.labels[row, column])
        found = self.project.classes.get(class_id)
        self.hovered.emit(where, found.name if found is not None else tr("class {n}", n=class_id))
        self.review.hover(column, row)

    # -- commands on the open image ----------------------------------------------------------------

    def clear_labels(self) -> None:
        """Set every pixel that may change to background, as one step."""
        from app.domain.edits import Box
        from app.domain.label_map import Region

        document = self.session.document
        if document is not None:
            box = Box(0, 0, document.width, document.height)
            mask = np.ones(document.shape, np.bool_)
            document.paint_region(Region(box, mask), 0, tr("Clear label map"))

    def toggle_reference(self) -> None:
        """Make the open image a reference, or an ordinary one again."""
        if self._image_id >= 0:
            is_reference = self.project.row(self._image_id).status is Status.REFERENCE
            self.session.set_reference(self._image_id, not is_reference)

    def _theme_changed(self) -> None:
        self.canvas.refresh()
        self.review.refresh_icons()
        self.browser.view.viewport().update()
        self.classes.view.viewport().update()

    def close_project(self) -> bool:
        """Write everything and let go; return whether every stroke is on disk."""
        self.context.settings.set("canvas.brush_px", float(self.options.brush_px))
        self.review.close()
        self.canvas.set_document(None)
        self.images.clear()
        self.thumbnails.close()
        self.loader.close()
        self.worker.close()
        return self.session.close()
