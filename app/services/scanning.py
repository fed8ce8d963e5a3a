"""Listing the images folder of a project in the background."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Signal

from app.domain.project import Project, ScanProgress
from app.services.jobs import ThreadJob

_LISTING_SEC = 0.5


class Scanning(QObject):
    """Lists the images folder when asked, one scan at a time.

    Args:
        project: Whose images.
        parent: Qt parent.
    """

    progress = Signal(int, bool)
    """Images found, and whether that is all."""
    listed = Signal()
    """The list has changed; at most twice a second."""
    passedOver = Signal(str)  # noqa: N815 - a sentence about files that were left out
    failed = Signal(str)

    def __init__(self, project: Project, *, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._scan: ThreadJob | None = None
        self._listed_at = 0.0

    def start(self) -> None:
        """List the folder; a scan that is going on is left alone."""
        if self._scan is not None and not self._scan.view().is_over:
            return
        if self._scan is not None:
            self._scan.deleteLater()
        scan = ThreadJob("scan", lambda _: self._project.scan(), kind="scan", parent=self)
        scan.told.connect(self._on_event)
        scan.finished.connect(self._on_over)
        self._scan = scan
        scan.start()

    def close(self) -> None:
        """Stop it."""
        if self._scan is not None:
            self._scan.close()

    def _on_event(self, event: object) -> None:
        if not isinstance(event, ScanProgress):
            return
        self.progress.emit(event.found, event.finished)
        now = time.monotonic()
        # once all are listed only their sizes come, which few views show
        pause = _LISTING_SEC if event.measured == 0 else 10 * _LISTING_SEC
        if event.finished or now - self._listed_at > pause:
            self._listed_at = now
            self.listed.emit()
        if event.finished and event.skipped:
            name, reason = event.skipped[0]
            self.passedOver.emit(f"{len(event.skipped)} files were passed over, such as {name}: {reason}")

    def _on_over(self) -> None:
        if self._scan is not None and self._scan.message:
            self.failed.emit(self._scan.message)
