"""The first screen: open a folder, go on with a recent project, try the sample."""

from __future__ import annotations

import time

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QLinearGradient, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.services.recent import RecentProject, RecentProjects
from app.ui.texts import plural, tr
from app.ui.theme import colour, icon
from app.ui.widgets.basics import Card, Notice, button, clear, column, icon_button, label, row

_SHOWN = 6
_STEPS = (
    ("mdi6.brush", "Label one image", "Paint its parts with brush, polygon, wand or superpixels."),
    ("mdi6.creation", "Propagate", "A model of the category carries the parts to every image."),
    (
        "mdi6.clipboard-check-outline",
        "Review and export",
        "Least certain first; then write the format you need.",
    ),
)


def when_text(opened: float, now: float | None = None) -> str:
    """Return how long ago a project was open, in words."""
    ago = (time.time() if now is None else now) - opened
    if ago < 3600:
        return tr("just now") if ago < 120 else tr("{n} minutes ago", n=round(ago / 60))
    if ago < 86400:
        return plural(round(ago / 3600), "{n} hour ago", "{n} hours ago")
    if ago < 86400 * 60:
        return plural(round(ago / 86400), "{n} day ago", "{n} days ago")
    return time.strftime("%d %B %Y", time.localtime(opened))


class _Emblem(QWidget):
    """One shape and its labelled copies: what the application does, drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(230, 84)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, ARG002
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        parts = (QColor("#E69F00"), QColor("#56B4E9"), QColor("#009E73"))
        for place, (x, size, strength) in enumerate(((0, 84, 1.0), (98, 68, 0.85), (180, 50, 0.65))):
            painter.save()
            painter.translate(x, (84 - size) / 2)
            painter.scale(size / 84, size / 84)
            painter.setOpacity(strength)
            card = QPainterPath()
            card.addRoundedRect(0, 0, 84, 84, 16, 16)
            shade = QLinearGradient(0, 0, 84, 84)
            shade.setColorAt(0, colour("accent_soft"))
            shade.setColorAt(1, colour("hover"))
            painter.fillPath(card, shade)
            painter.setClipPath(card)
            painter.rotate((-4, 5, -8)[place])
            painter.setBrush(parts[0])
            painter.drawEllipse(18, 20, 50, 52)
            painter.setBrush(parts[1])
            painter.drawEllipse(30, 34, 10, 10)
            painter.drawEllipse(48, 34, 10, 10)
            painter.setBrush(parts[2])
            painter.drawChord(31, 46, 26, 20, 180 * 16, 180 * 16)
            painter.restore()
        painter.end()


class WelcomePage(QWidget):
    """Shown while no project is open."""

    openAsked = Signal()  # noqa: N815
    sampleAsked = Signal()  # noqa: N815
    recentAsked = Signal(str)  # noqa: N815

    def __init__(self, recent: RecentProjects, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recent = recent
        self._list = QVBoxLayout()
        self._list.setSpacing(8)
        self.notice = Notice()
        self.notice.hide()
        inner = QWidget()
        inner.setObjectName("page")
        inner.setMaximumWidth(940)
        inner.setLayout(self._build())
        middle = QWidget()
        middle.setObjectName("page")
        centred = row(None, inner, None)
        centred.setStretch(1, 20)
        middle.setLayout(centred)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setWidget(middle)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.setLayout(column(scroll))
        self.reload()

    def _build(self) -> QVBoxLayout:
        slogan = QLabel(tr("Label one image. Get the folder."))
        slogan.setProperty("role", "title")
        font = slogan.font()
        font.setPixelSize(34)
        font.setBold(True)
        slogan.setFont(font)
        slogan.setStyleSheet("font-size: 34px; font-weight: 700;")
        text = label(
            tr(
                "Paint the parts of one image. CoordLabel finds them in all the others;"
                " you only look after the doubtful ones."
            ),
            "muted",
            wrap=True,
        )
        text.setStyleSheet("font-size: 15px;")
        open_folder = button(
            tr("Open folder…"), self.openAsked.emit, kind="primary", icon_name="mdi6.folder-open-outline"
        )
        sample = button(tr("Open the sample project"), self.sampleAsked.emit, icon_name="mdi6.flask-outline")
        for each in (open_folder, sample):
            each.setMinimumHeight(38)
        hint = label(tr("or drop a folder of images anywhere in this window"), "faint")
        head = column(
            _Emblem(), 18, slogan, text, 10, row(open_folder, sample, 8, hint, None, spacing=10), spacing=6
        )
        steps = row(*(self._step(n, *step) for n, step in enumerate(_STEPS, 1)), spacing=14)
        for place in range(len(_STEPS)):
            steps.setStretch(place, 1)
        self._recent_title = label(tr("Recent projects"), "section")
        layout = column(
            None, head, 26, steps, 26, self.notice, self._recent_title, self._list, None, spacing=8
        )
        layout.setStretch(0, 2)
        layout.setStretch(layout.count() - 1, 3)
        layout.setContentsMargins(32, 24, 32, 24)
        return layout

    def _step(self, number: int, icon_name: str, title: str, text: str) -> QWidget:
        picture = QLabel()
        picture.setPixmap(icon(icon_name, "accent").pixmap(QSize(24, 24)))
        head = row(picture, label(f"{number}.  {tr(title)}", "section"), None, spacing=8)
        body = label(tr(text), "muted", wrap=True)
        card = Card(column(head, body, None, spacing=6))
        card.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        return card

    def reload(self) -> None:
        """Show the recent projects as they are now."""
        clear(self._list)
        items = self._recent.items()[:_SHOWN]
        self._recent_title.setVisible(bool(items))
        for found in items:
            self._list.addWidget(self._card(found))

    def _card(self, found: RecentProject) -> Card:
        picture = QLabel()
        token = "accent" if found.exists else "faint"
        picture.setPixmap(
            icon("mdi6.folder-image" if found.exists else "mdi6.folder-remove-outline", token).pixmap(22, 22)
        )
        name = label(found.name, "section" if found.exists else "muted")
        path = label(str(found.path), "muted")
        path.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        ago = label(when_text(found.opened) if found.exists else tr("not found"), "muted")
        remove = icon_button("mdi6.close", tr("Remove from the list"), lambda: self._forget(found))
        texts = column(name, path, spacing=0)
        layout = row(picture, texts, ago, remove, spacing=12)
        layout.setStretch(1, 1)
        card = Card(layout, hoverable=found.exists)
        layout.setContentsMargins(14, 8, 8, 8)
        if found.exists:
            card.clicked.connect(lambda: self.recentAsked.emit(str(found.path)))
        return card

    def _forget(self, found: RecentProject) -> None:
        self._recent.remove(found.path)
        self.reload()
