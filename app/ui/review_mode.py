"""The review on the screen: reference beside query, linked cursor, heat map, decisions."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

from app.domain.classes import ClassTable
from app.services.changes import Changes
from app.services.linked_cursor import LinkedCursor
from app.services.session import Session
from app.services.tasks import Worker
from app.ui.actions import ActionRegistry
from app.ui.canvas.canvas_view import CanvasView
from app.ui.canvas.compositor import Look
from app.ui.context import AppContext
from app.ui.images import ImageStore
from app.ui.panels.reference_view import HEAD_PX, ReferencePane
from app.ui.panels.review import ReviewController
from app.ui.panels.review_bar import ReviewBar
from app.ui.texts import tr
from app.ui.widgets.basics import column, label, row

_RELOAD_MS = 300
BUILTIN = "builtin:"
"""How the ids of stop-gaps begin, which know no canonical frame."""


class ReviewMode(QObject):
    """Connects the queue, the two views and the engine's correspondence."""

    opened = Signal(int)
    """Image to show."""
    said = Signal(str)
    changed = Signal(bool)
    """Whether the review is on."""

    def __init__(
        self,
        context: AppContext,
        actions: ActionRegistry,
        session: Session,
        images: ImageStore,
        canvas: CanvasView,
        worker: Worker,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._context = context
        self._session = session
        self._canvas = canvas
        self.controller = ReviewController(session, worker, self)
        self.bar = ReviewBar(self.controller, actions)
        self.pane = ReferencePane(session.project, images)
        self.link = LinkedCursor(context.engine, self)
        self._linked: tuple[str, int, int] | None = None
        self._ready = False
        self._at: tuple[int, int] | None = None
        self._make_query_pane(canvas)
        self._reload = QTimer(self, singleShot=True, interval=_RELOAD_MS)
        self._reload.timeout.connect(self._reload_queue)
        self._connect()
        for widget in (self.bar, self.pane, self._head):
            widget.hide()

    def _make_query_pane(self, canvas: CanvasView) -> None:
        """Put a line with the image's name above the canvas; it shows in review only."""
        self.query_pane = QWidget()
        self._query_name = label("", "section")
        self._query_status = label("", "muted")
        self._head = QWidget()
        head = row(self._query_name, None, self._query_status)
        head.setContentsMargins(4, 0, 4, 0)
        self._head.setLayout(head)
        self._head.setFixedHeight(HEAD_PX)
        query = column(self._head, canvas, spacing=6)
        query.setStretch(1, 1)
        self.query_pane.setLayout(query)

    def _connect(self) -> None:
        self.controller.opened.connect(self.opened)
        self.controller.finished.connect(self._finished)
        self.bar.suggestionAsked.connect(self.opened)
        self.pane.chosen.connect(lambda _id: self._prepare_link())
        self.link.ready.connect(self._link_ready)
        self.link.failed.connect(self._link_failed)
        self.link.matched.connect(self.pane.show_match)
        self._canvas.left.connect(self.leave)

    @property
    def is_active(self) -> bool:
        """Whether the review is on."""
        return self.controller.is_active

    def set_active(self, on: bool, current: int = -1) -> None:
        """Enter or leave the review."""
        if on == self.is_active:
            return
        for widget in (self.bar, self.pane, self._head):
            widget.setVisible(on)
        if on:
            self.pane.reload()
            self.controller.start(current)
            if not self.controller.queue:
                self._finished()
        else:
            self.controller.stop()
            self.pane.clear_match()
        self.changed.emit(on)

    def _finished(self) -> None:
        self.said.emit(tr("Nothing is left to review"))

    # -- what follows the open image ---------------------------------------------------------------

    def image_shown(self, image_id: int) -> None:
        """Follow the canvas to another image."""
        if not self.is_active:
            return
        self.controller.look_at(image_id)
        found = self._session.project.row(image_id)
        self.bar.show_image(found.path, found.confidence)
        self._query_name.setText(found.path)
        self._query_status.setText(tr(str(found.status)))
        self._canvas.setFocus()
        self._prepare_link()

    def take(self, changes: Changes) -> None:
        """Refresh what a change concerns."""
        if not self.is_active:
            return
        if changes.images or changes.listing or changes.classes:
            self.pane.reload()
            self._reload.start()
        if self.pane.image_id in changes.labels:
            self.pane.refresh_labels()

    def _reload_queue(self) -> None:
        if self.is_active:
            self.controller.reload_soon()

    def set_classes(self, classes: ClassTable) -> None:
        """Use other classes."""
        self.bar.set_classes(classes)
        hidden = frozenset(c.id for c in classes.classes if not c.visible)
        self.pane.view.set_palette(classes.palette(), hidden)

    def take_look(self, look: Look) -> None:
        """Show the reference as the canvas shows the query, but never with a heat map."""
        self.pane.view.set_look(opacity=look.opacity, contours=look.contours, overlay=look.overlay)

    # -- linked cursor -----------------------------------------------------------------------------

    def _prepare_link(self) -> None:
        """Ask the engine for the correspondence of the two images in view."""
        query, reference = self.controller.current, self.pane.image_id
        if not self.is_active or query is None or reference is None:
            return
        if not self._context.settings.get("review.linked_cursor"):
            self.pane.show_link(tr("Linked cursor is off"), ready=False)
            return
        model = self._model()
        if not model:
            self.pane.show_link(tr("Propagate to link the cursors"), ready=False)
            return
        if model.startswith(BUILTIN):
            self.pane.show_link(tr("Linking needs a trained model"), ready=False)
            return
        wanted = (model, query, reference)
        if wanted == self._linked:
            return
        self._linked, self._ready = wanted, False
        self.pane.clear_match()  # what glows belongs to the image before
        self.pane.show_link(tr("Linking…"), ready=False)
        project = self._session.project
        sizes = {row.id: (row.width, row.height) for row in project.rows([query, reference])}
        self.link.prepare(
            model,
            project.image_path(query),
            project.image_path(reference),
            image_size=sizes[query],
            reference_size=sizes[reference],
        )

    def _model(self) -> str:
        """Return the model of the last propagation."""
        for run in self._session.project.runs():
            if run.kind == "propagation" and run.details.get("model"):
                return str(run.details["model"])
        return ""

    def _link_ready(self, ready: bool) -> None:
        self._ready = ready
        self.pane.show_link(tr("Linked: move over the query") if ready else "", ready=ready)
        if ready and self._at is not None:
            self.hover(*self._at)

    def _link_failed(self, reason: str) -> None:
        self._ready, self._linked = False, None  # looking again asks again
        self.pane.show_link(tr("The cursors cannot be linked"), ready=False)
        self.said.emit(reason)

    def hover(self, column: int, row: int) -> None:
        """Let the match of a query pixel glow on the reference."""
        self._at = (column, row)
        if self.is_active and self._ready:
            self.link.hover(column, row)

    def leave(self) -> None:
        """Let nothing glow: the cursor is over no pixel of the query."""
        self._at = None
        self.pane.clear_match()

    def refresh_icons(self) -> None:
        """Follow the theme."""
        self.bar.refresh_icons()
        self.pane.view.refresh()

    def close(self) -> None:
        """Stop timers and forget the link."""
        self._reload.stop()
        self.controller.is_active = False
        self.link.clear()
