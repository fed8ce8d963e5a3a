"""A session that paints, undoes, changes images and statuses without end, and tells each step."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QCoreApplication, QTimer

from app.domain.edits import LabelMap
from app.domain.label_map import rectangle_region
from app.domain.project import Project
from app.domain.status import Status
from app.services.document import Document
from app.services.session import Session
from app.services.settings import Settings
from tests.faults.processes import Tell

PAINTED = 4
"""The first images are painted, the others only get statuses."""
AHEAD = 20


def digest(labels: LabelMap) -> str:
    """Return what stands for a label map in messages."""
    return hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()[:16]


class Chronicle:
    """Tells of every document of a session: how it was opened, each step made, each step that is on disk."""

    def __init__(self, session: Session, tell: Tell) -> None:
        self._session = session
        self._tell = tell
        self._known: set[int] = set()
        session.documentChanged.connect(self._watch)
        self._watch(session.document)

    def _watch(self, document: object) -> None:
        if not isinstance(document, Document):
            return
        self._tell("opened", document.image_id, digest(document.labels))
        if id(document) not in self._known:
            self._known.add(id(document))
            document.historyChanged.connect(lambda _: self.step(document))
            document.committed.connect(lambda image, sequence: self._tell("committed", image, sequence))

    def step(self, document: Document) -> None:
        """Tell what the newest step of a document has made of it, if it is on its way to disk."""
        if document._waiting:
            self._tell("made", document.image_id, max(document._waiting), digest(document.labels))


def act(session: Session, tell: Tell, chance: random.Random, pictures: list[int]) -> None:
    """Do one thing that a person could do."""
    document = session.document
    what = chance.random()
    if document is None or what < 0.04:
        session.open_image(chance.choice(pictures[:PAINTED]))
    elif what < 0.12:
        document.undo()
    elif what < 0.16:
        document.redo()
    elif what < 0.20:
        image, status = chance.choice(pictures[PAINTED:]), chance.choice(["accepted", "rejected"])
        tell("marking", image, status)
        session.set_status([image], Status(status))
        session.call_in_writer(lambda: None, lambda _: tell("marked", image, status))
    else:
        x, y = chance.randrange(40), chance.randrange(24)
        region = rectangle_region(
            x, y, x + chance.randrange(1, 9), y + chance.randrange(1, 9), document.shape
        )
        document.paint_region(region, chance.randrange(1, 5), "Box")


def paint(tell: Tell, folder: Path, seed: int) -> None:
    """Open the project as a window does and work in it until the end of the world."""
    application = QCoreApplication([])
    settings = Settings(folder.parent / "profile")
    settings.set("saving.flush_sec", 0.5)  # label files are written all the time
    session = Session(Project.open(folder), settings=settings)
    session.start_scan()
    chance = random.Random(seed)
    pictures = [int(i) for i in session.project.ids()]
    chronicle = Chronicle(session, tell)  # Qt alone does not keep it alive
    session.failed.connect(lambda text: tell("failed", text, ""))
    forever(application, lambda: session.unsaved < AHEAD and act(session, tell, chance, pictures))
    tell("ready")
    application.exec()
    del chronicle


def forever(application: QCoreApplication, work: Callable[[], object]) -> None:
    """Have ``work`` done whenever the event loop is idle."""
    timer = QTimer(application)
    timer.setInterval(0)
    timer.timeout.connect(lambda: work())
    timer.start()
