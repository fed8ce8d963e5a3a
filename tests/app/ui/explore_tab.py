"""The window on the Explore tab, for its tests."""

from __future__ import annotations

from PySide6.QtWidgets import QApplication

from app.launch import Running
from app.ui.pages.explore.page import ExplorePage
from tests.app.conftest import WaitUntil
from tests.app.ui.fake_explore import ExploreEngine


class Tab:
    """The window on the Explore tab."""

    def __init__(self, running: Running, engine: ExploreEngine, wait: WaitUntil) -> None:
        self.running, self.engine, self.wait = running, engine, wait

    @property
    def page(self) -> ExplorePage:
        page = self.running.window.host.page("explore")
        assert isinstance(page, ExplorePage)
        return page

    def show(self, name: str) -> object:
        """Show a view and wait until it has what it asked for."""
        if not self.page.isVisible():
            self.running.window.show_page("explore")
            self.wait(lambda: self.page.service.abilities is not None or not self.engine.known)
        self.page.show_view(name)
        view = self.page.views[name]
        self.wait(lambda: not view.asker.is_busy)
        QApplication.processEvents()
        return view
