"""The Training tab: set up a training, watch it, and look after the models that came of it."""

from __future__ import annotations

from app.ui.pages.page import Host, Page
from app.ui.texts import tr
from app.ui.widgets.basics import EmptyState, column


class TrainPage(Page):
    """Everything about training."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.setObjectName("train")
        self.empty = EmptyState("mdi6.school-outline", tr("Train a model"), tr("Choose a folder of images."))
        self.setLayout(column(self.empty))
