"""What all views of Explore have in common: a heading, controls, a board, and what stands in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QLayout, QStackedWidget, QWidget

from app.services.explore import ExploreService, Source
from app.ui.pages.explore.board import Board
from app.ui.pages.explore.board_view import BoardView
from app.ui.pages.explore.sources import SourceSet
from app.ui.pages.explore.tray import Choice, Tray
from app.ui.texts import tr
from app.ui.widgets.basics import EmptyState, button, column, label, row

Need = Literal["maps", "encodes"]
_TEXT_WIDTH = 640
_SHOW_MS = 40


@dataclass(frozen=True)
class Setting:
    """What the page gives every view.

    Args:
        service: The model and the engine.
        images: The images that most views look at.
        structures: Rows of texture swaps.
        textures: Their columns.
        art: Pictures from elsewhere that give textures.
        choices: What trays offer beside files; True also offers drawn images.
        pool: Images from whose codes directions are told.
        train: Goes to training.
    """

    service: ExploreService
    images: SourceSet
    structures: SourceSet
    textures: SourceSet
    art: SourceSet
    choices: Callable[[bool], list[Choice]]
    pool: Callable[[], list[Source]]
    train: Callable[[], None]


class ExploreView(QWidget):
    """One view. It asks the engine only while it is looked at and something has changed."""

    id: ClassVar[str]
    icon_name: ClassVar[str]
    needs: ClassVar[Need]

    said = Signal(str)
    boardChanged = Signal()  # noqa: N815
    """What can be saved has changed."""

    def __init__(self, setting: Setting, title: str, text: str) -> None:
        super().__init__()
        self.setting = setting
        self.service = setting.service
        self.title = title
        self.asker = self.service.asker()
        self.asker.busyChanged.connect(self._busy_changed)
        self.asker.waiting.connect(self._show_waiting)
        self._active = False
        self._stale = True
        self._soon = QTimer(self, singleShot=True, interval=_SHOW_MS)
        self._soon.timeout.connect(self.show_found)
        self.problems: list[str] = []
        self.board_view = BoardView(title, has_loupe=self.has_loupe())
        self.empty = EmptyState(self.icon_name, "")
        self.empty.setMaximumWidth(_TEXT_WIDTH)
        self.trays: list[Tray] = []
        self.setAcceptDrops(True)
        self.train_button = button(tr("Go to Train"), setting.train)
        self.train_button.hide()
        self.again_button = button(tr("Try again"), self.renew, icon_name="mdi6.refresh")
        self.again_button.hide()
        self.stack = QStackedWidget()
        self.status = label("", "muted")
        self._lay_out(text)
        self.service.abilitiesChanged.connect(self._model_changed)
        self.service.modelChanged.connect(self._model_changed)

    def _lay_out(self, text: str) -> None:
        self.stack.addWidget(self.content())
        away = QWidget()
        away.setLayout(
            column(
                None,
                _centred(self.empty),
                row(None, self.train_button, self.again_button, None),
                None,
                spacing=0,
            )
        )
        self.stack.addWidget(away)
        head = column(label(self.title, "heading"), label(text, "muted", wrap=True), spacing=2)
        body = column(head, self.controls(), self.stack, self.status, spacing=10)
        body.setStretch(2, 1)
        body.setContentsMargins(4, 0, 4, 4)
        self.setLayout(body)

    # -- what a view says about itself -------------------------------------------------------------

    def has_loupe(self) -> bool:
        """Whether pictures are enlarged when the mouse rests on them."""
        return True

    def controls(self) -> QLayout:
        """Return the trays and buttons above the board."""
        return row()

    def content(self) -> QWidget:
        """Return what the board stands in."""
        return self.board_view

    def missing(self) -> tuple[str, str] | None:
        """Return title and text of what is missing beside the model, None if nothing is."""
        return None if self.setting.images.files else no_images()

    def ask(self) -> None:
        """Ask the engine for everything and show it as it comes."""
        raise NotImplementedError

    def show_found(self) -> None:
        """Show what has come so far."""
        raise NotImplementedError

    def show_soon(self) -> None:
        """Show what has come, not more often than anybody can see: answers may come by the hundred."""
        if not self._soon.isActive():
            self._soon.start()

    def saved_board(self) -> Board:
        """Return what is saved as a picture."""
        return self.board_view.board

    def boards(self) -> list[BoardView]:
        """Return every board of the view."""
        return [self.board_view]

    def tray(self, title: str, sources: SourceSet, hint: str = "", *, drawn: bool = False) -> Tray:
        """Return a tray whose changes renew the view."""
        made = Tray(title, sources, self.service, lambda: self.setting.choices(drawn), hint)
        made.said.connect(self.said)
        sources.changed.connect(self.renew)
        self.trays.append(made)
        return made

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take pictures anywhere on the view, for its last tray."""
        if self.trays:
            self.trays[-1].dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Give what was dropped to the last tray."""
        if self.trays:
            self.trays[-1].dropEvent(event)

    # -- when to ask -------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Whether the view is looked at."""
        return self._active

    def set_active(self, active: bool) -> None:  # noqa: FBT001
        """Begin or stop to be looked at."""
        self._active = active
        if active and self._stale:
            self.renew()
        elif not active and self.asker.is_busy:
            self.asker.cancel()
            self._stale = True

    def renew(self) -> None:
        """Show everything anew, now or once somebody looks."""
        self.asker.cancel()
        self._stale = True
        if not self._active:
            return
        self.problems = []
        self.status.setText("")
        instead = self._instead()
        if instead is not None:
            self.show_instead(*instead)
            return
        self._stale = False
        self.stack.setCurrentIndex(0)
        self.ask()
        self.boardChanged.emit()

    def _model_changed(self) -> None:
        self.renew()

    def _instead(self) -> tuple[str, str] | None:
        """Return what is said in place of the board: why the view has nothing to show."""
        service = self.service
        self.train_button.hide()
        self.again_button.hide()
        if not service.model:
            self.train_button.show()
            return no_model()
        if service.problem:
            return tr("This model cannot be used"), service.problem
        if service.abilities is None:
            return tr("Loading the model…"), ""
        if not getattr(service.abilities, self.needs):
            self.train_button.show()
            return lacking(self.needs, has_maps=service.abilities.maps, draws=service.abilities.draws)
        return self.missing()

    def show_instead(self, title: str, text: str) -> None:
        """Say something in place of the board."""
        self.empty.title.setText(title)
        self.empty.text.setText(text)
        self.empty.text.setVisible(bool(text))
        self.stack.setCurrentIndex(1)
        self.boardChanged.emit()

    @property
    def shows_board(self) -> bool:
        """Whether there is something to save."""
        return self.stack.currentIndex() == 0 and not self.board_view.board.is_empty

    # -- what is said ------------------------------------------------------------------------------

    def failed(self, message: str) -> None:
        """Say that the engine could not do it."""
        self._stale = True
        self.show_instead(tr("That did not work"), message)
        self.again_button.show()

    def show_progress(self, done: int, total: int) -> None:
        """Say how far it is."""
        text = tr("{done} of {total} pictures", done=done, total=total) if done < total else ""
        self.show_status(text)

    def show_status(self, text: str) -> None:
        """Say something below the board; problems stay."""
        parts = [text] if text else []
        if self.problems:
            parts.append(tr("{n} could not be used: {first}", n=len(self.problems), first=self.problems[0]))
        self.status.setText("  ·  ".join(parts))

    def _busy_changed(self, busy: bool) -> None:  # noqa: FBT001
        if not busy:
            if self._soon.isActive():
                self._soon.stop()
                self.show_found()
            self.show_status("")
            self.boardChanged.emit()

    def _show_waiting(self) -> None:
        self.show_status(tr("Waiting for the engine: it has other work"))

    def theme_changed(self) -> None:
        """Take the colours of the theme."""
        self.empty.refresh_icons()
        for view in self.boards():
            view.refresh()


def _centred(widget: QWidget) -> QLayout:
    layout = row(None, widget, None)
    layout.setStretch(1, 100)
    return layout


def no_model() -> tuple[str, str]:
    """Say that there is no model to look at."""
    return tr("There is no model yet"), tr(
        "Explore shows what a model has learned. Train one on your images, or import one."
    )


def no_images() -> tuple[str, str]:
    """Say that there are no images."""
    return tr("There are no images to show"), tr("Open a folder, drop pictures above, or choose some with +.")


def lacking(need: Need, *, has_maps: bool, draws: bool) -> tuple[str, str]:
    """Say which part of the model is missing for a view, and what would bring it."""
    if need == "maps":
        return tr("This model cannot place images in its canonical frame yet"), tr(
            "Neither its embedding nor its encoder has been trained. Train it further: "
            "maps come with the first minutes of stage 0, or with the stage encoder."
        )
    if has_maps:
        return tr("This model has maps, but no generator yet"), tr(
            "Its training ended after stage 0, which learns where things are. Taking images apart and "
            "putting them together again needs the stage after it, which learns how they look. "
            "Correspondence maps and point tracking work already."
        )
    if draws:
        return tr("This model draws images, but cannot read yours yet"), tr(
            "Its generator is trained, its encoder is not. Run the stage encoder to use your own images."
        )
    return tr("This model has not been trained yet"), tr("Train it, then look again.")
