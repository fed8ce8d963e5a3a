"""The pages beside labelling, in the order of the switcher; none is imported before it is shown."""

from __future__ import annotations

from app.ui.pages.page import Host, Page, PageSpec


def _train(host: Host) -> Page:
    from app.ui.pages.train.page import TrainPage

    return TrainPage(host)


def _explore(host: Host) -> Page:
    from app.ui.pages.explore.page import ExplorePage

    return ExplorePage(host)


PAGES: tuple[PageSpec, ...] = (PageSpec("train", _train), PageSpec("explore", _explore))

LABEL = "label"
"""The page that is always there: the welcome screen or the open project."""
