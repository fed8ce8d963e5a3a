"""The Explore tab: a model, a list of views, and the view that is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFrame,
    QLabel,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QWidget,
)

from app.domain.model_choice import likely_model
from app.services.changes import Changes
from app.services.explore import ExploreService, Source
from app.services.models import ModelInfo
from app.ui.pages.explore.board import Painting, draw_board
from app.ui.pages.explore.maps import MapsView
from app.ui.pages.explore.reconstruct import ReconstructView
from app.ui.pages.explore.sources import SourceSet, evenly, of_project, pictures_folder, spread
from app.ui.pages.explore.swap import ArtView, StructureSwapView, TextureSwapView
from app.ui.pages.explore.track import TrackView
from app.ui.pages.explore.tray import Choice
from app.ui.pages.explore.view import ExploreView, Setting
from app.ui.pages.explore.walk import WalkView
from app.ui.pages.page import Host, Page
from app.ui.texts import tr
from app.ui.theme import icon
from app.ui.widgets.basics import button, column, label, line, row, slider
from app.ui.widgets.research import research_text

VIEWS: tuple[Callable[[Setting], ExploreView], ...] = (
    MapsView,
    TrackView,
    TextureSwapView,
    StructureSwapView,
    ArtView,
    ReconstructView,
    WalkView,
)
"""The views, in the order of the list."""

_FIRST_IMAGES, _FIRST_GRID = 20, 5
_POOL = 48
_MOST_GRID = 24


def _titled(model: ModelInfo) -> str:
    """Return what a model is called in the list."""
    return f"{model.name} ({tr('research use')})" if model.research_use else model.name


class ExplorePage(Page):
    """Everything that shows what a model has learned."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.setObjectName("explore")
        self.service = ExploreService(host.context.engine, self)
        self.images = SourceSet(parent=self)
        self.structures, self.textures, self.art = (SourceSet(_MOST_GRID, self) for _ in range(3))
        self._project_folder: Path | None = None
        self._wanted_model = ""
        self._pool: list[Source] = []
        self._filled = False
        self._save_folder = pictures_folder()
        setting = Setting(
            self.service,
            self.images,
            self.structures,
            self.textures,
            self.art,
            self._choices,
            self._pool_of_images,
            lambda: host.show_page("train"),
        )
        self.views: dict[str, ExploreView] = {made.id: made for made in (kind(setting) for kind in VIEWS)}
        self.current = next(iter(self.views))
        self._shown = False
        self._lay_out()
        self.service.abilitiesChanged.connect(self._tell_model)
        self.service.modelChanged.connect(self._tell_model)
        for view in self.views.values():
            view.said.connect(host.say)
            view.boardChanged.connect(self._sync)
        self.show_view(self.current)

    # -- assembly ----------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.stack = QStackedWidget()
        for view in self.views.values():
            self.stack.addWidget(view)
        side = QFrame()
        side.setObjectName("panel")
        side.setFixedWidth(236)
        inside = column(
            label(tr("Model"), "section"),
            self._make_models(),
            self.about,
            line(),
            self._make_list(),
            None,
            line(),
            self._make_saving(),
            spacing=10,
        )
        inside.setContentsMargins(12, 12, 12, 12)
        side.setLayout(inside)
        body = row(side, self.stack, spacing=12)
        body.setStretch(1, 1)
        body.setContentsMargins(8, 6, 12, 8)
        self.setLayout(body)

    def _make_models(self) -> QWidget:
        self.model_box = QComboBox()
        self.model_box.setAccessibleName(tr("Model"))
        self.model_box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.model_box.currentIndexChanged.connect(self._choose_model)
        self.about = label("", "muted", wrap=True)
        return self.model_box

    def _make_list(self) -> QWidget:
        made = QWidget()
        layout = column(spacing=2)
        self._list = QButtonGroup(self)
        self.view_buttons: dict[str, QToolButton] = {}
        for view in self.views.values():
            entry = QToolButton()
            entry.setText(f"  {view.title}")
            entry.setIcon(icon(view.icon_name))
            entry.setIconSize(QSize(18, 18))
            entry.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            entry.setCheckable(True)
            entry.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            entry.setMinimumHeight(32)
            entry.clicked.connect(lambda _checked=False, name=view.id: self.show_view(name))
            self._list.addButton(entry)
            self.view_buttons[view.id] = entry
            layout.addWidget(entry)
        made.setLayout(layout)
        return made

    def _make_saving(self) -> QWidget:
        self.pixels = QCheckBox(tr("Show pixels"))
        self.pixels.setToolTip(tr("Enlarge by repeating pixels instead of smoothly"))
        self.pixels.toggled.connect(self._set_pixels)
        self.captions = QCheckBox(tr("Captions"))
        self.captions.setChecked(True)
        self.captions.setToolTip(tr("Write names into saved pictures"))
        self.save_button = button(tr("Save as PNG…"), self.ask_save, icon_name="mdi6.content-save-outline")
        self.zoom = slider(50, 300, tr("Size of the pictures"))
        self.zoom.setValue(100)
        self.zoom.setToolTip(tr("Size of the pictures"))
        self.zoom.valueChanged.connect(self._set_zoom)
        small, large = QLabel(), QLabel()
        self._size_labels = (small, 12), (large, 18)
        made = QWidget()
        sizes = row(small, self.zoom, large, spacing=6)
        made.setLayout(column(sizes, row(self.pixels, None, self.captions), self.save_button, spacing=8))
        self._paint_sizes()
        return made

    # -- models ------------------------------------------------------------------------------------

    def entered(self) -> None:
        """Look for models: one may have been trained in the meantime."""
        self._shown = True
        self.service.list_models(self.show_models, self._no_models)
        self.views[self.current].set_active(True)

    def left(self) -> None:
        """Ask for nothing while nobody looks."""
        self._shown = False
        self.views[self.current].set_active(False)

    def show_models(self, models: list[ModelInfo]) -> None:
        """Offer the models; the one that was chosen stays chosen."""
        wanted = self.service.model or self._wanted_model
        self.model_box.blockSignals(True)
        self.model_box.clear()
        for model in sorted(models, key=lambda m: (m.builtin, m.name)):
            self.model_box.addItem(_titled(model), model)
            self.model_box.setItemData(self.model_box.count() - 1, model.path, Qt.ItemDataRole.ToolTipRole)
        models = self._models()
        likely = likely_model(models, self._project_folder) if self._project_folder else None
        ids = [model.id for model in models]
        wanted = wanted if wanted in ids or likely is None else likely.id
        self.model_box.setCurrentIndex(ids.index(wanted) if wanted in ids else min(0, len(ids) - 1))
        self.model_box.blockSignals(False)
        self._choose_model()

    def _models(self) -> list[ModelInfo]:
        return [self.model_box.itemData(i) for i in range(self.model_box.count())]

    def _no_models(self, reason: str) -> None:
        self.about.setText(tr("The engine does not answer: {reason}", reason=reason))

    def _choose_model(self, _index: int = 0) -> None:
        model = self.model_box.currentData()
        self.service.set_model(model.id if isinstance(model, ModelInfo) else "")
        self._tell_model()

    def _tell_model(self) -> None:
        """Say in one line what the chosen model is."""
        model = self.model_box.currentData()
        if not isinstance(model, ModelInfo):
            self.about.setText(tr("No model yet"))
            return
        parts = [model.category] if model.category and model.category != model.name else []
        parts += [tr("research use")] if model.research_use else []
        self.about.setToolTip(research_text(model.name, model.data_source) if model.research_use else "")
        abilities = self.service.abilities
        if self.service.problem:
            parts.append(tr("cannot be used"))
        elif abilities is None:
            parts.append(tr("loading…"))
        elif abilities.encodes or abilities.draws:
            parts.append(tr("renders {n} × {n} pixels", n=abilities.resolution))
        else:
            parts.append(tr("maps only"))
        self.about.setText(" · ".join(parts))

    # -- images ------------------------------------------------------------------------------------

    def project_changed(self) -> None:
        """Begin with images of the project that is open now."""
        workspace = self.host.workspace
        folder = None if workspace is None else workspace.project.images_folder
        if folder == self._project_folder:
            return
        self._project_folder = folder
        self._pool, self._filled = [], False
        for part in (self.images, self.structures, self.textures):
            part.set([])
        if workspace is not None:
            workspace.session.changed.connect(self._listing_changed)
            self._fill()

    def _listing_changed(self, changes: Changes) -> None:
        if changes.listing:
            self._fill()

    def _fill(self) -> None:
        """Choose images of the project, once there are some: the scan may still be on its way."""
        workspace, ids = self.host.workspace, self._ids()
        if self._filled or workspace is None or not ids:
            return
        self._filled = True
        project = workspace.project
        self._pool = of_project(project, evenly(ids, _POOL))
        self.images.set(of_project(project, evenly(ids, _FIRST_IMAGES)))
        self.structures.set(of_project(project, evenly(ids, _FIRST_GRID)))
        step = len(ids) // (2 * _FIRST_GRID)
        self.textures.set(of_project(project, evenly(ids, _FIRST_GRID, step)))

    def _ids(self) -> list[int]:
        workspace = self.host.workspace
        return [] if workspace is None else [int(i) for i in workspace.project.ids("")]

    def _pool_of_images(self) -> list[Source]:
        """Return the images whose codes say how images differ."""
        pool = dict.fromkeys([*self.images.files, *self._pool, *self.structures.files])
        return list(pool)[:_POOL]

    def _choices(self, drawn: bool) -> list[Choice]:  # noqa: FBT001
        """Return what a tray offers beside files."""
        found: list[Choice] = []
        workspace = self.host.workspace
        if workspace is not None:
            project, ids = workspace.project, self._ids()
            for count in (5, 12, 20):
                if count <= len(ids):
                    text = tr("{n} images of the project", n=count)
                    found.append((text, partial(spread, project, ids, count)))
            selected = workspace.browser.selected_ids()
            if selected:
                text = tr("The {n} selected images", n=f"{len(selected):,}")
                found.append((text, lambda: of_project(project, selected)))
            references = project.references()
            if references:
                found.append((tr("The references"), lambda: of_project(project, references)))
        if drawn:
            able = self.service.abilities
            text = tr("5 generated images")
            if able is not None and not able.draws:
                text = tr("5 new ones, drawn from how your images differ")
            found.append((text, self._draw))
        return found

    def _draw(self) -> list[Source]:
        used = [s.seed for part in (self.structures, self.textures) for s in part.items if s.seed is not None]
        first = max(used, default=0) + 1
        return [Source(seed=seed) for seed in range(first, first + 5)]

    # -- views -------------------------------------------------------------------------------------

    def show_view(self, name: str) -> None:
        """Look at another view."""
        if name not in self.views:
            return
        self.views[self.current].set_active(False)
        self.current = name
        self.view_buttons[name].setChecked(True)
        self.stack.setCurrentWidget(self.views[name])
        if self._shown:
            self.views[name].set_active(True)
        self._sync()

    def _sync(self) -> None:
        self.save_button.setEnabled(self.views[self.current].shows_board)

    def _paint_sizes(self) -> None:
        for shown, side in self._size_labels:
            shown.setPixmap(icon("mdi6.image-outline", "muted").pixmap(side, side))

    def _set_zoom(self, value: int) -> None:
        for view in self.views.values():
            for board in view.boards():
                board.set_zoom(value / 100)

    def _set_pixels(self, on: bool) -> None:  # noqa: FBT001
        for view in self.views.values():
            for board in view.boards():
                board.set_pixels(on)

    def theme_changed(self) -> None:
        """Draw icons and boards in the new colours."""
        self._paint_sizes()
        for view in self.views.values():
            view.theme_changed()
            self.view_buttons[view.id].setIcon(icon(view.icon_name))

    # -- saving ------------------------------------------------------------------------------------

    def ask_save(self) -> None:
        """Ask where the view is saved, and save it."""
        model = self.model_box.currentData()
        name = f"{model.name if isinstance(model, ModelInfo) else tr('Explore')}-{self.current}.png"
        start = str(self._save_folder / name)
        path, _ = QFileDialog.getSaveFileName(self, tr("Save as PNG"), start, tr("PNG picture") + " (*.png)")
        if path:
            self._save_folder = Path(path).parent
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Save the view at full size, in a thread."""
        view = self.views[self.current]
        board, shown = view.saved_board(), view.board_view.painting
        painting = Painting(shown.tokens, shown.font, captions=self.captions.isChecked(), pixels=True)

        def done(written: str) -> None:
            self.host.say(tr("Saved {path}", path=written))

        def failed(message: str) -> None:
            self.host.say(tr("Not saved: {reason}", reason=message))

        self.service.save(lambda: draw_board(board, painting), path.with_suffix(".png"), done, failed)

    # -- the window --------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Remember the model, the view and how pictures are shown."""
        values = {
            "model": self.service.model or self._wanted_model,
            "view": self.current,
            "pixels": self.pixels.isChecked(),
            "captions": self.captions.isChecked(),
        }
        return json.dumps(values).encode()

    def restore_state(self, state: bytes) -> None:
        """Take what is understood."""
        with suppress(ValueError, AttributeError, TypeError):
            values = json.loads(state.decode())
            self._wanted_model = str(values.get("model", ""))
            self.pixels.setChecked(bool(values.get("pixels", False)))
            self.captions.setChecked(bool(values.get("captions", True)))
            self.show_view(str(values.get("view", self.current)))

    def close_page(self) -> None:
        """Let go of requests and threads."""
        self._shown = False
        self.views[self.current].set_active(False)
        self.service.close()
