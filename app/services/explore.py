"""What Explore asks of the engine: pictures that come one by one, cancelled when they are not wanted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QTimer, Signal
from PySide6.QtGui import QImage, QImageWriter

from app.services.engine import EngineClient
from app.services.image_loader import Pixels, to_qimage
from app.services.models import ModelInfo
from app.services.tasks import Worker
from coordgan_core.data.images import read_image
from coordgan_core.engine.protocol import Reply
from coordgan_core.errors import ConfigError, ShapeError
from coordgan_core.tracking import Located

SIDE_PX = 320
"""Longest side of the photographs that views show."""
THUMBNAIL_PX = 96
_KEPT_MAPS = 256
_KEPT_THUMBNAILS = 512
_QUIET_MS = 1500


@dataclass(frozen=True)
class Source:
    """Where codes come from: an image file, or a number that draws an image."""

    path: Path | None = None
    seed: int | None = None

    @property
    def title(self) -> str:
        """What a caption says."""
        return self.path.stem if self.path is not None else f"#{self.seed}"

    def to_params(self) -> dict[str, Any]:
        """Return what the engine understands."""
        return {"seed": self.seed} if self.path is None else {"path": str(self.path)}


@dataclass(frozen=True)
class Abilities:
    """Which parts of the chosen model are there and trained; see `coordgan_core.explore.Abilities`."""

    maps: bool
    encodes: bool
    draws: bool
    resolution: int


@dataclass(frozen=True)
class MapItem:
    """An image with its correspondence map: both as pictures, and the map itself to ask for places."""

    image: QImage
    colours: QImage
    located: Located


@dataclass(frozen=True)
class Frame:
    """The canonical frame in colour, and the images averaged in it (transparent where nothing lies)."""

    colours: QImage
    average: QImage


Event = Callable[[dict[str, Any], dict[str, QImage], Reply], None]
"""Takes the values of an event, its pictures, and the reply for whatever else it brought."""


class Asker(QObject):
    """One view's line to the engine: a new question takes the place of the one before.

    Args:
        service: Whose model is asked.
    """

    busyChanged = Signal(bool)  # noqa: N815
    waiting = Signal()
    """The engine has not answered for a while: it has other work."""

    def __init__(self, service: ExploreService) -> None:
        super().__init__(service)
        self._service = service
        self._request: int | None = None
        self._generation = 0
        self._next: Callable[[], None] | None = None
        self._quiet = QTimer(self, singleShot=True, interval=_QUIET_MS)
        self._quiet.timeout.connect(self.waiting)

    @property
    def is_busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._request is not None

    def ask(
        self,
        what: str,
        params: dict[str, Any],
        *,
        on_event: Event | None = None,
        on_done: Event | None = None,
        on_error: Callable[[str], None] | None = None,
    ) -> None:
        """Ask; what was asked before and is not answered yet is cancelled, and its late answers dropped."""
        self.cancel()
        generation = self._generation

        def event(reply: Reply) -> None:
            if generation == self._generation:
                self._quiet.start()
                if on_event is not None:
                    on_event(dict(reply.data), _pictures(reply), reply)
            if reply.arrays:
                self._service.engine.release(reply)

        def done(reply: Reply) -> None:
            if self._over(generation) and on_done is not None:
                on_done(dict(reply.data), _pictures(reply), reply)
            self._send_next(generation)

        def error(message: str) -> None:
            if self._over(generation) and on_error is not None:
                on_error(message)
            self._send_next(generation)

        values = {"model": self._service.model, "what": what, **params}
        self._request = self._service.engine.request(
            "explore", values, on_event=event, on_done=done, on_error=error
        )
        self._quiet.start()
        self.busyChanged.emit(True)

    def ask_after(self, what: str, params: dict[str, Any], **callbacks: Any) -> None:
        """Ask once the present question is answered; of several that wait only the last is asked."""
        if self.is_busy:
            self._next = lambda: self.ask(what, params, **callbacks)
        else:
            self.ask(what, params, **callbacks)

    def cancel(self) -> None:
        """Stop what was asked; nobody hears of it any more."""
        self._generation += 1
        self._next = None
        self._quiet.stop()
        if self._request is not None:
            request, self._request = self._request, None
            self._service.engine.cancel(request)
            self.busyChanged.emit(False)

    def _over(self, generation: int) -> bool:
        """Note that a question is answered; False if it was a former one."""
        if generation != self._generation:
            return False
        self._request = None
        self._quiet.stop()
        self.busyChanged.emit(False)
        return True

    def _send_next(self, generation: int) -> None:
        if generation == self._generation and self._next is not None:
            send, self._next = self._next, None
            send()


class ExploreService(QObject):
    """The model that is looked at, what it can do, and what has been seen of it already.

    Args:
        engine: The engine.
        parent: Qt parent.
    """

    modelChanged = Signal()  # noqa: N815
    abilitiesChanged = Signal()  # noqa: N815
    """`abilities` or `problem` is known."""
    thumbnailReady = Signal(object)  # noqa: N815
    """A `Source` whose thumbnail `thumbnail` has now."""

    def __init__(self, engine: EngineClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.engine = engine
        self.model = ""
        self.abilities: Abilities | None = None
        self.problem = ""
        """Why the model cannot be used, empty if it can."""
        self._worker = Worker(threads=2, parent=self)
        self._asker = Asker(self)
        self._askers: list[Asker] = []
        self._list_request: int | None = None
        self._maps: OrderedDict[str, MapItem] = OrderedDict()
        self._thumbnails: OrderedDict[Source, QImage | None] = OrderedDict()

    def asker(self) -> Asker:
        """Return a line of its own for a view."""
        made = Asker(self)
        self._askers.append(made)
        return made

    def list_models(
        self, on_done: Callable[[list[ModelInfo]], None], on_error: Callable[[str], None]
    ) -> None:
        """Ask for the models that have networks; stop-gaps without a file have nothing to show."""

        def done(found: list[ModelInfo]) -> None:
            self._list_request = None
            on_done([model for model in found if model.path])

        self._list_request = self.engine.models(done, on_error)

    def set_model(self, model: str) -> None:
        """Look at another model; everything asked of the one before is cancelled."""
        if model == self.model:
            return
        self.stop()
        self.model, self.abilities, self.problem = model, None, ""
        self._maps.clear()
        self.modelChanged.emit()
        if model:
            self._asker.ask("abilities", {}, on_done=self._take_abilities, on_error=self._take_problem)

    def _take_abilities(self, data: dict[str, Any], _pictures: object, _reply: object) -> None:
        maps, encodes, draws = (bool(data.get(name)) for name in ("maps", "encodes", "draws"))
        self.abilities = Abilities(maps, encodes, draws, int(data.get("resolution", 0)))
        self.abilitiesChanged.emit()

    def _take_problem(self, message: str) -> None:
        self.problem = message
        self.abilitiesChanged.emit()

    def stop(self) -> None:
        """Cancel everything that was asked."""
        for asker in (self._asker, *self._askers):
            asker.cancel()

    def close(self) -> None:
        """Let go of threads and requests."""
        self.stop()
        if self._list_request is not None:
            self.engine.cancel(self._list_request)
        self._worker.close()

    # --- maps

    def map_of(self, source: Source) -> MapItem | None:
        """Return the map of an image that has been computed."""
        return self._maps.get(str(source.path))

    def take_map(self, source: Source, pictures: dict[str, QImage], reply: Reply) -> MapItem | None:
        """Keep what an event of the view ``maps`` brought; None if the engine sent no map."""
        try:
            located = Located(reply.arrays["map"], reply.arrays["reliability"])
            item = MapItem(pictures["image"], pictures["colours"], located)
        except (KeyError, ShapeError):
            return None
        self._maps[str(source.path)] = item
        while len(self._maps) > _KEPT_MAPS:
            self._maps.popitem(last=False)
        return item

    # --- pictures

    def thumbnail(self, source: Source) -> QImage | None:
        """Return a small picture of an image file; None asks for it. A null picture: it cannot be read."""
        if source.path is None:
            return QImage()
        if source in self._thumbnails:
            return self._thumbnails[source]
        self._thumbnails[source] = None
        while len(self._thumbnails) > _KEPT_THUMBNAILS:
            self._thumbnails.popitem(last=False)
        path = source.path

        def done(pixels: Pixels) -> None:
            self._thumbnails[source] = to_qimage(pixels)
            self.thumbnailReady.emit(source)

        def failed(_message: str) -> None:
            self._thumbnails[source] = QImage()
            self.thumbnailReady.emit(source)

        self._worker.run(lambda: read_image(path, max_side=THUMBNAIL_PX), done, failed)
        return None

    def find_images(
        self, paths: Sequence[Path], on_done: Callable[[list[Path]], None], limit: int = 200
    ) -> None:
        """List the images among files and folders, in a thread: a dropped folder may be large or far away."""
        self._worker.run(lambda: images_in(paths, limit), on_done, lambda _message: on_done([]))

    def save(
        self,
        make: Callable[[], QImage],
        path: Path,
        on_done: Callable[[str], None],
        on_error: Callable[[str], None],
    ) -> None:
        """Draw a picture in a thread and write it as PNG, atomically."""

        def write() -> str:
            return write_picture(make(), path)

        self._worker.run(write, on_done, on_error)


def images_in(paths: Sequence[Path], limit: int) -> list[Path]:
    """Return the image files among ``paths``, those of folders listed, at most ``limit``."""
    from coordgan_core.data.images import is_image, list_images

    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += list_images(path)[: limit - len(found)]
        elif is_image(path):
            found.append(path)
        if len(found) >= limit:
            break
    return found[:limit]


def write_picture(picture: QImage, path: Path) -> str:
    """Write a PNG atomically and return its path.

    Raises:
        ConfigError: The picture is larger than a picture can be.
        DiskFullError: It cannot be written.
    """
    from coordgan_core.files import write_bytes

    if picture.isNull():
        raise ConfigError("the picture is too large", remedy="choose fewer images")
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(picture)
    buffer.close()
    write_bytes(path, bytes(content.data()))
    return str(path)


def _pictures(reply: Reply) -> dict[str, QImage]:
    """Return the arrays of a reply that are pictures."""
    found: dict[str, QImage] = {}
    for name, array in reply.arrays.items():
        if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3:
            found[name] = to_qimage(array)
    return found


def frame_of(reply: Reply, pictures: dict[str, QImage]) -> Frame | None:
    """Return the canonical frame from the last answer of the view ``maps``."""
    average, known = reply.arrays.get("average"), reply.arrays.get("known")
    if "frame" not in pictures or average is None or known is None:
        return None
    height, width = known.shape
    rgba = np.dstack([average, known]).astype(np.uint8)
    picture = QImage(rgba.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
    return Frame(pictures["frame"], picture)
