"""Shows one page at a time and puts the parts of labelling away while another is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QDockWidget, QStackedWidget, QToolBar, QWidget

from app.ui.pages.page import Page
from app.ui.pages.switcher import Switcher
from app.ui.pages.table import LABEL, PAGES
from app.ui.texts import tr

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow

_KEPT_DOCKS = {"jobs"}
"""Docks that serve every page."""


class PageHost(QStackedWidget):
    """The middle of the window.

    Args:
        window: The window whose bars and docks belong to labelling.
        label: What the page of labelling shows.
    """

    def __init__(self, window: MainWindow, label: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._specs = {spec.id: spec for spec in PAGES}
        self._pages: dict[str, Page] = {}
        self._put_away: list[QDockWidget] = []
        self._label = label
        self.current = LABEL
        self._closed = False
        self.addWidget(label)

    @property
    def ids(self) -> tuple[str, ...]:
        """All pages, in the order of the switcher."""
        return (LABEL, *self._specs)

    @property
    def is_labelling(self) -> bool:
        """Whether the page of labelling is shown."""
        return self.current == LABEL

    def page(self, page_id: str) -> Page:
        """Return a page, built now if nobody has seen it yet."""
        if page_id not in self._pages:
            page = self._specs[page_id].make(self._window)
            self._pages[page_id] = page
            self.addWidget(page)
            state = self._window.context.settings.state(f"page.{page_id}")
            if state is not None:
                page.restore_state(state)
            page.project_changed()
        return self._pages[page_id]

    def show_page(self, page_id: str) -> None:
        """Go to a page; one that no longer exists is labelling."""
        if page_id not in self.ids:
            page_id = LABEL
        if page_id == self.current:
            return
        before, self.current = self.current, page_id
        if before != LABEL:
            self._pages[before].left()
        self.setCurrentWidget(self._label if page_id == LABEL else self.page(page_id))
        self.show_label_parts(visible=page_id == LABEL)
        if page_id != LABEL:
            self._pages[page_id].entered()
            self._pages[page_id].setFocus()
        self._window.sync_soon()

    def show_label_parts(self, *, visible: bool) -> None:
        """Bring the bars and docks of labelling back, or put them away and remember which there were."""
        window = self._window
        has_project = window.workspace is not None
        for bar in (window.bars.top, window.bars.tools):
            bar.setVisible(visible and has_project)
        if visible:
            for dock in self._put_away:
                dock.show()
            self._put_away = []
        elif not self._put_away:
            docks = [dock for name, dock in window.docks.items() if name not in _KEPT_DOCKS]
            self._put_away = [dock for dock in docks if not dock.isHidden()]
            for dock in self._put_away:
                dock.hide()

    def project_changed(self) -> None:
        """Tell the pages that another project is open, or none."""
        for page in self._pages.values():
            page.project_changed()

    def theme_changed(self) -> None:
        """Tell the pages that colours have changed."""
        for page in self._pages.values():
            page.theme_changed()

    def keep(self) -> None:
        """Remember which page is shown, and what the pages want remembered."""
        if self._closed:
            return
        settings = self._window.context.settings
        settings.set_state("window.page", self.current.encode())
        for page_id, page in self._pages.items():
            settings.set_state(f"page.{page_id}", page.state())

    def restore(self) -> None:
        """Go to the page that was shown when the window closed."""
        state = self._window.context.settings.state("window.page")
        if state:
            self.show_page(state.decode(errors="replace"))

    def close_pages(self) -> None:
        """Let every page go."""
        self._closed = True
        self.setCurrentWidget(self._label)
        self.current = LABEL
        for page in self._pages.values():
            page.close_page()
            self.removeWidget(page)
            page.deleteLater()
        self._pages = {}


def page_bar(window: MainWindow, host: PageHost) -> QToolBar:
    """Return the bar with the switcher, which every page shows."""
    bar = QToolBar(tr("Pages"))
    bar.setObjectName("pages")
    bar.addWidget(Switcher(window.actions_by_id, host.ids))
    return bar
