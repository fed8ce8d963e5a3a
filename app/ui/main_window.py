"""The window: puts menus, bars, panels and the open project together. Assembly only."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QMainWindow, QMessageBox, QStackedWidget, QWidget

from app.ui.action_state import sync_actions, sync_history
from app.ui.actions import ActionRegistry
from app.ui.actions.keys import keymap
from app.ui.bars import make_bars
from app.ui.commands import bind_all
from app.ui.context import AppContext
from app.ui.dialogs.welcome import WelcomePage
from app.ui.flows import Flows
from app.ui.pages.host import PageHost
from app.ui.pages.table import LABEL
from app.ui.panels.jobs_panel import JobsPanel
from app.ui.texts import tr
from app.ui.theme import icon
from app.ui.widgets.basics import EmptyState
from app.ui.widgets.dock import Dock
from app.ui.widgets.status_bar import StatusBar
from app.ui.window_state import keep_geometry, keep_layout, restore_geometry, restore_layout
from app.ui.workspace import Workspace

_NOTE_MS = 8000
_WISHED = QSize(1440, 900)
_LEAST = QSize(880, 560)
_FRAME = QSize(16, 48)
"""Room for the title bar and the borders that the desktop draws around the window."""


def _first_size(screen: QSize) -> QSize:
    """Return the size of a window that fits on the screen with its frame."""
    return _WISHED.boundedTo(screen - _FRAME).expandedTo(_LEAST)


class MainWindow(QMainWindow):
    """The one window of the application."""

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.context = context
        self.workspace: Workspace | None = None
        self.setWindowTitle("CoordLabel")
        self.setObjectName("main")
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.setMinimumSize(_LEAST)
        self.resize(_first_size(self.screen().availableSize()))
        self.actions_by_id = ActionRegistry(self)
        self.actions_by_id.set_keys(keymap(context.settings.get("keys.preset"), self.own_keys()))
        self.flows = Flows(self)
        self.welcome = WelcomePage(context.recent)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.welcome)
        self.host = PageHost(self, self.pages)
        self.setCentralWidget(self.host)
        self.docks: dict[str, Dock] = {}
        self._make_docks()
        self.bars = make_bars(self)
        for area, bar in self.bars.placed():
            self.addToolBar(area, bar)
        self.status = StatusBar()
        self.setStatusBar(self.status)
        bind_all(self)
        self._sync_timer = QTimer(self, singleShot=True, interval=0)
        self._sync_timer.timeout.connect(lambda: sync_actions(self))
        self.welcome.openAsked.connect(self.ask_open)
        self.welcome.sampleAsked.connect(self.open_sample)
        self.welcome.recentAsked.connect(lambda path: self.open_project(Path(path)))
        context.theme.changed.connect(self._theme_changed)
        context.settings.changed.connect(self._setting_changed)
        self._theme_changed()
        self._show_project_parts(visible=False)
        restore_geometry(self)
        sync_actions(self)

    # -- assembly ----------------------------------------------------------------------------------

    def _make_docks(self) -> None:
        left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
        places = {
            "browser": (tr("Images"), left),
            "classes": (tr("Classes"), right),
            "navigator": (tr("Navigator"), right),
            "jobs": (tr("Jobs"), Qt.DockWidgetArea.BottomDockWidgetArea),
        }
        for name, (title, area) in places.items():
            content: QWidget = JobsPanel(self.context.jobs) if name == "jobs" else QWidget()
            dock = Dock(name, title, content, self)
            self.addDockWidget(area, dock)
            self.docks[name] = dock
            dock.visibilityChanged.connect(lambda _on: self.sync_soon())
            if isinstance(content, JobsPanel):
                content.imageAsked.connect(self._open_image)
        for corner in (Qt.Corner.BottomLeftCorner, Qt.Corner.TopLeftCorner):
            self.setCorner(corner, left)
        for corner in (Qt.Corner.BottomRightCorner, Qt.Corner.TopRightCorner):
            self.setCorner(corner, right)

    # -- projects ----------------------------------------------------------------------------------

    def ask_open(self) -> None:
        """Let a folder be chosen and open it."""
        path = QFileDialog.getExistingDirectory(self, tr("Open a folder of images"))
        if path:
            self.open_project(Path(path))

    def open_sample(self) -> None:
        """Open the sample project, a copy of its own."""
        from app.services.sample import prepare_sample

        self.open_project(prepare_sample(self.context.settings.paths.data / "sample"))

    def open_project(self, path: Path) -> bool:
        """Open a folder of images or a project folder; say why when that is impossible."""
        from app.domain.project import Project

        if not self.close_project():
            return False
        self.show_page(LABEL)
        try:
            project = Project.open_or_create(path)
        except Exception as error:  # noqa: BLE001  whatever is wrong with a folder, the window stays
            self.welcome.notice.show_text(str(error), "bad")
            self.welcome.notice.show()
            return False
        self.welcome.notice.hide()
        self.context.recent.add(project.images_folder)
        workspace = Workspace(self.context, self.actions_by_id, project)
        self._adopt(workspace)
        workspace.start()
        if project.read_only:
            workspace.problem.show_text(
                tr("Opened for reading only: {reason}.", reason=project.read_only_reason), "warn"
            )
            workspace.problem.show()
        elif project.note:
            self.say(project.note)
        return True

    def _adopt(self, workspace: Workspace) -> None:
        """Put the panels of a project into the docks and listen to it."""
        self.workspace = workspace
        self.pages.addWidget(workspace)
        self.pages.setCurrentWidget(workspace)
        for name in ("browser", "classes", "navigator"):
            self.docks[name].set_content(getattr(workspace, name))
        self.docks["browser"].set_buttons(workspace.browser.title_buttons())
        workspace.said.connect(self.say)
        workspace.hovered.connect(self.status.show_hover)
        workspace.imageChanged.connect(lambda _id: self._show_title())
        workspace.stateChanged.connect(self.sync_soon)
        workspace.session.historyChanged.connect(lambda: sync_history(self))
        workspace.canvas.viewChanged.connect(self._show_zoom)
        workspace.session.busyChanged.connect(self.status.show_busy)
        workspace.review.changed.connect(self._review_changed)
        self._show_project_parts(visible=True)
        restore_layout(self)
        self.host.project_changed()
        self._show_title()
        self.sync_soon()

    def close_project(self) -> bool:
        """Close the open project; False when the person would rather wait for a job."""
        workspace = self.workspace
        if workspace is None:
            return True
        if self.context.jobs.is_busy and not self._may_stop_jobs():
            return False
        self.show_page(LABEL)
        keep_layout(self)
        self._cancel_jobs()
        if not workspace.close_project() and not self._may_lose_strokes():
            return False
        self.workspace = None
        self.host.project_changed()
        for name in ("browser", "classes", "navigator"):
            self.docks[name].set_content(QWidget())
        self.docks["browser"].set_buttons([])
        self.pages.setCurrentWidget(self.welcome)
        self.pages.removeWidget(workspace)
        workspace.deleteLater()
        self.welcome.reload()
        self._show_project_parts(visible=False)
        self._show_title()
        sync_actions(self)
        return True

    def _may_stop_jobs(self) -> bool:
        answer = QMessageBox.question(
            self,
            tr("A job is running"),
            tr("Stop it? What is done stays, and the rest can be done later."),
        )
        return answer == QMessageBox.StandardButton.Yes

    def _cancel_jobs(self) -> None:
        for view in self.context.jobs.views():
            if not view.is_over:
                self.context.jobs.job(view.id).close()

    def _may_lose_strokes(self) -> bool:
        answer = QMessageBox.critical(
            self,
            tr("Not everything is saved"),
            tr("The disk does not take the last strokes. Close anyway and lose them?"),
            QMessageBox.StandardButton.Close | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        return answer == QMessageBox.StandardButton.Close

    def _open_image(self, image_id: int) -> None:
        if self.workspace is not None:
            self.workspace.open_image(image_id)

    # -- review, pages, full screen -------------------------------------------------------------

    def set_review(self, on: bool) -> None:
        """Enter or leave the review."""
        if self.workspace is not None:
            self.workspace.review.set_active(on, self.workspace.image_id)

    def _review_changed(self, on: bool) -> None:
        workspace = self.workspace
        if workspace is not None and self.context.settings.get("review.heat_map"):
            workspace.set_heat(on)
        self.docks["navigator"].setVisible(not on)
        self.sync_soon()

    def show_training(self) -> None:
        """Go to the page that trains models."""
        self.show_page("train")

    def show_page(self, page_id: str) -> None:
        """Go to a page of the switcher."""
        self.host.show_page(page_id)

    def set_full_screen(self, on: bool) -> None:
        """Fill the screen or not."""
        if on:
            self.showFullScreen()
        else:
            self.showNormal()

    # -- keys --------------------------------------------------------------------------------------

    def own_keys(self) -> dict[str, tuple[str, ...]]:
        """Return the user's own shortcuts by action id."""
        items = self.context.settings.items("keys")
        return {
            str(i["id"]): tuple(map(str, i["keys"])) for i in items if isinstance(i, dict) and "keys" in i
        }

    def set_own_keys(self, changes: dict[str, tuple[str, ...]]) -> None:
        """Remember and use the user's own shortcuts."""
        self.context.settings.set_items(
            "keys", [{"id": i, "keys": list(keys)} for i, keys in changes.items()]
        )
        self._use_keys()

    def _use_keys(self) -> None:
        self.actions_by_id.set_keys(keymap(self.context.settings.get("keys.preset"), self.own_keys()))

    # -- what is shown -----------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show a quiet note in the status bar."""
        self.statusBar().showMessage(text, _NOTE_MS)

    def show_dock(self, name: str) -> None:
        """Bring a panel up."""
        self.docks[name].show()
        self.docks[name].raise_()

    def sync_soon(self) -> None:
        """Bring the actions up to date once control returns to the event loop."""
        self._sync_timer.start()

    def _show_project_parts(self, *, visible: bool) -> None:
        for part in (self.bars.top, self.bars.tools, self.statusBar()):
            part.setVisible(visible)
        for name, dock in self.docks.items():
            dock.setVisible(visible and name != "jobs")

    def _show_title(self) -> None:
        workspace = self.workspace
        if workspace is None:
            self.setWindowTitle("CoordLabel")
            return
        place = workspace.browser.model.row_of(workspace.image_id)
        count = workspace.browser.model.rowCount()
        name = workspace.project.row(workspace.image_id).path if workspace.image_id >= 0 else ""
        self.status.show_place(place, count)
        self.setWindowTitle(" — ".join(part for part in (name, workspace.project.name, "CoordLabel") if part))

    def _show_zoom(self) -> None:
        if self.workspace is not None:
            view = self.workspace.canvas
            self.status.show_zoom(view.viewport.scale * view.devicePixelRatioF() if view.has_image else None)

    def _theme_changed(self) -> None:
        self.actions_by_id.refresh_icons()
        self.bars.propagate.setIcon(icon("mdi6.creation", "on_accent"))
        for state in self.findChildren(EmptyState):
            state.refresh_icons()
        self.host.theme_changed()

    def _setting_changed(self, key: str) -> None:
        if key == "general.theme":
            self.context.theme.set_appearance(self.context.settings.get(key))
        elif key == "keys.preset":
            self._use_keys()

    # -- window ------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Save everything; stay open when a job should go on."""
        keep_geometry(self)
        self.host.keep()
        if self.close_project():
            self.host.close_pages()
            event.accept()
        else:
            event.ignore()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take folders and images."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Open the dropped folder, or the folder of the dropped image."""
        path = next((Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()), None)
        if path is not None:
            event.acceptProposedAction()
            self.open_project(path if path.is_dir() else path.parent)
