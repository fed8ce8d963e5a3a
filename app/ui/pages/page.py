"""What a page of the window is, and what it may ask of the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from app.ui.actions import ActionRegistry
    from app.ui.context import AppContext
    from app.ui.workspace import Workspace


class Host(Protocol):
    """What a page sees of the window."""

    @property
    def context(self) -> AppContext:
        """Settings, jobs, engine, appearance."""
        ...

    @property
    def actions_by_id(self) -> ActionRegistry:
        """The actions of the window."""
        ...

    @property
    def workspace(self) -> Workspace | None:
        """The open project, None when there is none."""
        ...

    def say(self, text: str) -> None:
        """Show a quiet note in the status bar."""
        ...

    def show_page(self, page_id: str) -> None:
        """Go to another page."""
        ...

    def open_project(self, path: Path) -> bool:
        """Open a folder of images, and go to labelling; False when that was not possible."""
        ...


class Page(QWidget):
    """One page; lives from the moment it is first shown until the window closes.

    Args:
        host: The window.
    """

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def entered(self) -> None:
        """Refresh what may have changed while another page was shown."""

    def left(self) -> None:
        """Stop what only matters while the page is looked at."""

    def project_changed(self) -> None:
        """Take the project that is open now, or that there is none (`host.workspace`)."""

    def theme_changed(self) -> None:
        """Draw anew what the stylesheet does not reach."""

    def state(self) -> bytes:
        """Return what is remembered until the next start; empty for nothing."""
        return b""

    def restore_state(self, state: bytes) -> None:
        """Take what `state` returned at some earlier start; bytes nobody understands are ignored."""

    def close_page(self) -> None:
        """Let go of threads, processes and files; called once, before the window is gone."""


@dataclass(frozen=True)
class PageSpec:
    """An entry of the table of pages.

    Args:
        id: Stable name; `page.ID` is its action.
        make: Builds the page; imports it only then.
    """

    id: str
    make: Callable[[Host], Page]
