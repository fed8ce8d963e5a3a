"""The status bar: notes on the left; class, pixel, zoom, place and saving on the right."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QStatusBar, QWidget

from app.ui.texts import tr


class StatusBar(QStatusBar):
    """Says what is under the cursor and how things stand."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeGripEnabled(False)
        self.class_name, self.pixel, self.zoom, self.place, self.saved = (QLabel() for _ in range(5))
        for each in (self.class_name, self.pixel, self.zoom, self.place, self.saved):
            self.addPermanentWidget(each)

    def show_hover(self, pixel: str, class_name: str) -> None:
        """Show what is under the cursor."""
        self.pixel.setText(pixel)
        self.class_name.setText(class_name)

    def show_zoom(self, scale: float | None) -> None:
        """Show device pixels an image pixel; nothing without an image."""
        self.zoom.setText("" if scale is None else f"{scale:.0%}")

    def show_place(self, place: int, count: int) -> None:
        """Show which image of how many is in view."""
        self.place.setText(f"{place + 1:,} / {count:,}" if place >= 0 else "")

    def show_busy(self, busy: bool) -> None:
        """Show whether strokes are on their way to disk."""
        self.saved.setText(tr("Saving…") if busy else tr("Saved"))
