"""The reference beside the query: where the pixel under the cursor came from."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QWidget

from app.domain.project import Project
from app.ui.canvas.image_view import ImageView, Marker
from app.ui.canvas.pyramid import Pyramid
from app.ui.images import ImageStore
from app.ui.texts import tr
from app.ui.theme import icon
from app.ui.widgets.basics import column, label, row, set_role

HEAD_PX = 32
"""Height of the line above reference and query: equal, so that the images stand side by side."""


class ReferencePane(QWidget):
    """Shows one reference with its labels and the glowing match of the cursor."""

    chosen = Signal(int)
    """Another reference is shown."""

    def __init__(self, project: Project, images: ImageStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._images = images
        self.view = ImageView()
        self.view.setAccessibleName("reference")
        self.box = QComboBox()
        self.box.setAccessibleName(tr("Reference"))
        self.box.currentIndexChanged.connect(self._choose)
        self._link = label("", "muted")
        star = label()
        star.setPixmap(icon("mdi6.star", "reference").pixmap(16, 16))
        head = row(star, label(tr("Reference"), "section"), self.box, None, self._link)
        head.setContentsMargins(4, 0, 4, 0)
        top = QWidget()
        top.setLayout(head)
        top.setFixedHeight(HEAD_PX)
        self.setLayout(column(top, self.view, spacing=6))
        images.ready.connect(self._image_ready)

    @property
    def image_id(self) -> int | None:
        """The reference that is shown."""
        found = self.box.currentData()
        return None if found is None else int(found)

    def reload(self) -> None:
        """Offer the references the project has now."""
        ids = self._project.references()
        if [self.box.itemData(i) for i in range(self.box.count())] == ids:
            return
        before = self.image_id
        self.box.blockSignals(True)
        self.box.clear()
        for found in self._project.rows(ids):
            self.box.addItem(found.path, found.id)
        self.box.setCurrentIndex(max(self.box.findData(before), 0) if ids else -1)
        self.box.blockSignals(False)
        self._choose()

    def _choose(self, _index: int = 0) -> None:
        image_id = self.image_id
        self.view.set_marker(None)
        if image_id is None:
            self.view.set_labels(None)
            self.view.set_image(None, tr("No reference yet: finish one image and press R."))
            return
        pyramid = self._images.get(image_id)
        self.view.set_image(pyramid, tr("Loading…"))
        self.view.set_labels(self._project.labels(image_id))
        self.chosen.emit(image_id)

    def _image_ready(self, image_id: int, pyramid: Pyramid) -> None:
        if image_id == self.image_id:
            self.view.set_image(pyramid)

    def refresh_labels(self) -> None:
        """Show the labels anew after the reference was corrected."""
        if self.image_id is not None:
            self.view.set_labels(self._project.labels(self.image_id))

    def show_link(self, text: str, *, ready: bool) -> None:
        """Say whether the cursors are linked."""
        self._link.setText(text)
        set_role(self._link, "good" if ready else "muted")

    def show_match(self, x: float, y: float, certainty: float) -> None:
        """Let the matched pixel glow."""
        self.view.set_marker(Marker(x + 0.5, y + 0.5, certainty))

    def clear_match(self) -> None:
        """Let nothing glow."""
        self.view.set_marker(None)
