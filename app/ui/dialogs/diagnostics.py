"""About, diagnostics, and the offer to look at the report of a crash."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QGridLayout, QPlainTextEdit, QWidget

from app.services.diagnostics import CrashReport
from app.services.settings import Paths
from app.ui.dialogs.base import Dialog
from app.ui.texts import tr
from app.ui.widgets.basics import button, column, label, row


class DiagnosticsDialog(Dialog):
    """Versions and places, to read and to copy into a report."""

    hardwareAsked = Signal()  # noqa: N815

    def __init__(self, versions: Mapping[str, str], paths: Paths, parent: QWidget | None = None) -> None:
        super().__init__(
            tr("CoordLabel"), tr("Label one image. Get the folder. Nothing leaves this computer."), parent
        )
        places = {
            tr("Settings"): str(paths.config),
            tr("Cache"): str(paths.cache),
            tr("Models"): str(paths.data),
            tr("Logs"): str(paths.logs),
        }
        self.text = "\n".join(f"{name}: {value}" for name, value in {**versions, **places}.items())
        body = column(
            label(tr("Versions"), "section"),
            _table(versions),
            8,
            label(tr("Places"), "section"),
            _table(places),
            None,
        )
        copy = button(tr("Copy all"), self._copy, icon_name="mdi6.content-copy")
        show = button(
            tr("Open the logs"),
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(paths.logs))),
            icon_name="mdi6.folder-open-outline",
        )
        hardware = button(tr("Hardware…"), self.hardwareAsked.emit, icon_name="mdi6.expansion-card")
        self.finish(column(body, row(copy, show, hardware, None)), cancel=False)
        self.resize(620, 460)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text)


def _table(values: Mapping[str, str]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(24)
    grid.setVerticalSpacing(4)
    grid.setColumnStretch(1, 1)
    for place, (name, value) in enumerate(values.items()):
        grid.addWidget(label(name, "muted"), place, 0)
        grid.addWidget(label(value, wrap=True), place, 1)
    return grid


class CrashDialog(Dialog):
    """Offers the report of a crash; says that no work is lost."""

    def __init__(self, report: CrashReport, parent: QWidget | None = None) -> None:
        super().__init__(
            tr("CoordLabel closed unexpectedly"),
            tr(
                "Every stroke was on disk, so nothing is lost. The report below stays on this computer; "
                "copy it if you want to tell the developers what happened."
            ),
            parent,
        )
        self._text = str(getattr(report, "text", report))
        view = QPlainTextEdit(self._text)
        view.setReadOnly(True)
        copy = button(
            tr("Copy report"),
            lambda: QGuiApplication.clipboard().setText(self._text),
            icon_name="mdi6.content-copy",
        )
        self.finish(column(view, row(copy, None)), tr("Dismiss"), cancel=False)
        self.resize(720, 480)
