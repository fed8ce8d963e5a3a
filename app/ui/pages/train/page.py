"""The Training tab: set up a training, watch it, and look after the models that came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog, QStackedWidget

from app.services.model_library import ModelLibrary
from app.services.tasks import Worker
from app.services.training import TrainingService
from app.ui.pages.page import Host, Page
from app.ui.pages.train.rail import MODELS, NEW, Rail
from app.ui.pages.train.setup_view import SetupView
from app.ui.texts import tr
from app.ui.widgets.basics import Notice, button, column, row
from resources import model_folders

if TYPE_CHECKING:
    from app.ui.pages.train.models_view import ModelsView
    from app.ui.pages.train.run_view import RunPanel


class TrainPage(Page):
    """Everything about training.

    Args:
        host: The window.
        training: Service of the runs; None for the user's own.
        library: Service of the models; None for the user's own.
    """

    def __init__(
        self, host: Host, *, training: TrainingService | None = None, library: ModelLibrary | None = None
    ) -> None:
        super().__init__(host)
        self.setObjectName("train")
        paths = host.context.settings.paths
        self.training = training or TrainingService(paths.data / "training", paths.models, parent=self)
        self._library = library
        self.worker = Worker(threads=2, parent=self)
        self.rail = Rail(self.training)
        self.setup = SetupView(self.training, self.worker)
        self.views = QStackedWidget()
        self.views.addWidget(self.setup)
        self._run: RunPanel | None = None
        self._models: ModelsView | None = None
        self._awaited = ""
        self.problem = Notice(level="bad")
        self.problem.add_button(button(tr("Dismiss"), self.problem.hide, kind="quiet"))
        self.problem.hide()
        main = column(self.problem, self.views, spacing=8)
        main.setStretch(1, 1)
        body = row(self.rail, main, spacing=4)
        body.setStretch(1, 1)
        body.setContentsMargins(8, 4, 8, 8)
        self.setLayout(body)
        self.setFocusProxy(self.rail.buttons[NEW])
        self.rail.chosen.connect(self.show_place)
        self.rail.addAsked.connect(self.ask_folder)
        self.setup.started.connect(self._started)
        self.training.failed.connect(self.show_problem)
        self.training.modelReady.connect(self._model_ready)
        self.training.runsChanged.connect(self._show_awaited)
        self.training.find_devices()

    @property
    def library(self) -> ModelLibrary:
        """The models; nothing is read before somebody asks."""
        if self._library is None:
            models = self.host.context.settings.paths.models
            self._library = ModelLibrary(models, self._other_folders(), parent=self)
        return self._library

    def _other_folders(self) -> tuple[Path, ...]:
        own = str(self.host.context.settings.get("engine.models_folder"))
        return (*model_folders(), *((Path(own).expanduser(),) if own else ()))

    # -- places ------------------------------------------------------------------------------------

    def show_place(self, place: str) -> None:
        """Show ``new``, ``models`` or the run of this id."""
        self._awaited = ""
        if place not in (NEW, MODELS) and self.training.run(place) is None:
            place = NEW
        self.rail.show_current(place)
        if place not in (NEW, MODELS):
            self.run_panel.attach(place)
            self.views.setCurrentWidget(self.run_panel)
            return
        if self._run is not None:
            self._run.detach()
        self.views.setCurrentWidget(self.setup if place == NEW else self.models_view)
        if place == MODELS:
            self.library.refresh()

    @property
    def run_panel(self) -> RunPanel:
        """The view of a run; the curves are loaded with it."""
        if self._run is None:
            from app.ui.pages.train.run_view import RunPanel

            self._run = RunPanel(self.training, self.worker)
            self._run.modelAsked.connect(self._show_model)
            self._run.discarded.connect(lambda _run: self.show_place(NEW))
            self.views.addWidget(self._run)
        return self._run

    @property
    def models_view(self) -> ModelsView:
        """The list of models."""
        if self._models is None:
            from app.ui.pages.train.models_view import ModelsView

            self._models = ModelsView(self.library, self.worker, self.ask_compare)
            self._models.trainAsked.connect(lambda: self.show_place(NEW))
            self._models.said.connect(self.host.say)
            self.views.addWidget(self._models)
        return self._models

    def _started(self, run_id: str) -> None:
        self.rail.reload()
        self.show_place(run_id)

    def _show_model(self, path: Path) -> None:
        self.show_place(MODELS)
        self.models_view.show_model(path)

    def _model_ready(self, _run_id: str, path: Path) -> None:
        if self._models is not None:
            self.library.refresh()
        self.host.say(tr("The model {name} is ready", name=path.stem))

    def show_problem(self, text: str) -> None:
        """Say what could not be done, until it is dismissed."""
        self.problem.show_text(text, "bad")
        self.problem.show()

    def ask_folder(self) -> None:
        """List a run that lies elsewhere."""
        found = QFileDialog.getExistingDirectory(self, tr("Folder of a run"))
        if found:
            self._awaited = self.training.add_folder(Path(found))
            self._show_awaited()

    def _show_awaited(self) -> None:
        """Show a run that was added, as soon as it was looked at."""
        if self._awaited and self.training.run(self._awaited) is not None:
            awaited, self._awaited = self._awaited, ""
            self._started(awaited)

    def ask_compare(self, first: str) -> None:
        """Compare two models on what is reviewed in the open project."""
        from app.ui.pages.train.compare import CompareDialog
        from app.ui.pages.train.folder_images import labelled_images

        workspace = self.host.workspace
        images, labels = Path(), dict[str, Path]()
        references: tuple[str, ...] = ()
        if workspace is not None:
            project = workspace.project
            workspace.session.flush()
            images = project.images_folder
            labels = labelled_images(project, images)
            names = [row.path for row in project.rows(project.references())]
            references = tuple(name for name in names if name in labels)
        dialog = CompareDialog(self.library, first, images, labels, references, self.window())
        dialog.exec()
        dialog.deleteLater()

    # -- the window --------------------------------------------------------------------------------

    def entered(self) -> None:
        """Look for what has changed meanwhile: labels of the project, models, free memory."""
        self.project_changed()
        self.show_place(self.rail.current)

    def left(self) -> None:
        """Draw nothing that nobody looks at."""
        if self._run is not None:
            self._run.detach()

    def project_changed(self) -> None:
        """Offer the images of the open project."""
        workspace = self.host.workspace
        self.setup.set_project(workspace.project if workspace is not None else None)

    def theme_changed(self) -> None:
        """Draw anew what the stylesheet does not reach."""
        self.rail.refresh_icons()
        self.setup.restyle()
        if self._run is not None:
            self._run.restyle()

    def state(self) -> bytes:
        """Return the place and the choices."""
        draft = self.setup.draft.state().decode()
        return json.dumps({"place": self.rail.current, "draft": draft}).encode()

    def restore_state(self, state: bytes) -> None:
        """Go where one was: to a run as soon as it is seen; one that is gone is a new training."""
        try:
            values = json.loads(state)
            draft, place = str(values["draft"]), str(values["place"])
        except (ValueError, KeyError, TypeError):
            return
        self.setup.draft.restore_state(draft.encode())
        self.setup.refresh()
        self.show_place(place)
        if self.rail.current != place:  # runs are looked at in the background; this one was not seen yet
            self._awaited = place

    def close_page(self) -> None:
        """Stop looking; trainings go on."""
        if self._run is not None:
            self._run.detach()
        self.training.close()
        if self._library is not None:
            self._library.close()
        self.worker.close()
