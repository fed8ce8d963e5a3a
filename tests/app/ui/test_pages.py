"""The pages of the window: built late, remembered, and out of each other's way."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from app.launch import Running
from app.ui.actions.table import ACTION_BY_ID
from app.ui.pages.table import LABEL, PAGES
from app.ui.widgets.basics import button
from tests.app.ui.conftest import Desk
from tests.app.ui.fakes import FakeEngine
from tests.test_light_imports import loaded_after


def test_every_page_has_an_action_and_is_built_only_when_it_is_shown(desk: Desk) -> None:
    assert {f"page.{page}" for page in desk.window.host.ids} == {
        spec for spec in ACTION_BY_ID if spec.startswith("page.")
    }
    assert desk.window.host.count() == 1, "a page was built before anybody asked for it"
    for place, spec in enumerate(PAGES):
        desk.window.actions_by_id[f"page.{spec.id}"].trigger()
        assert desk.window.host.currentWidget() is desk.window.host.page(spec.id)
        assert desk.window.host.count() == 2 + place


def test_the_window_loads_nothing_of_the_pages() -> None:
    heavy = loaded_after("import app.launch, sys; assert 'app.ui.pages.train' not in sys.modules")
    assert not heavy & {"torch", "cv2", "pyqtgraph"}


def test_a_page_puts_the_parts_of_labelling_away_and_brings_them_back(desk: Desk, images: Path) -> None:
    desk.open(images)
    desk.window.docks["navigator"].hide()
    shown = {name for name, dock in desk.window.docks.items() if dock.isVisible()}
    desk.window.actions_by_id["page.train"].trigger()
    assert not any(dock.isVisible() for dock in desk.window.docks.values())
    assert not desk.window.bars.tools.isVisible()
    assert desk.window.bars.pages.isVisible()
    desk.window.actions_by_id["page.label"].trigger()
    assert {name for name, dock in desk.window.docks.items() if dock.isVisible()} == shown
    assert desk.window.bars.tools.isVisible()


def test_keys_of_the_canvas_do_nothing_on_another_page(desk: Desk, images: Path) -> None:
    workspace = desk.open(images)
    tool = workspace.canvas.tool.name
    desk.press(Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    assert desk.window.host.current == "train"
    desk.wait(lambda: not desk.window.actions_by_id["tool.eraser"].isEnabled())
    desk.press(Qt.Key.Key_E)
    assert workspace.canvas.tool.name == tool
    assert not desk.window.actions_by_id["edit.undo"].isEnabled()
    desk.press(Qt.Key.Key_1, Qt.KeyboardModifier.AltModifier)
    desk.wait(lambda: desk.window.actions_by_id["tool.eraser"].isEnabled())
    assert desk.window.actions_by_id["page.label"].isChecked()


def test_opening_a_project_goes_to_labelling_and_tells_the_pages(desk: Desk, images: Path) -> None:
    desk.window.show_page("train")
    page, told = desk.window.host.page("train"), []
    page.project_changed = lambda: told.append(desk.window.workspace)  # type: ignore[method-assign]
    workspace = desk.open(images)
    assert desk.window.host.current == LABEL
    assert workspace in told


def test_the_page_is_remembered_until_the_next_start(
    qapp: QApplication, tmp_path: Path, wait_until: object
) -> None:
    def start(path: str | None, page: str) -> str:
        running = Running(qapp, tmp_path / "profile", FakeEngine())
        running.show(path)
        QApplication.processEvents()
        shown = running.window.host.current
        running.window.show_page(page)
        running.close()
        QApplication.processEvents()
        return shown

    (tmp_path / "images").mkdir()
    assert start(None, "train") == LABEL
    assert start(None, "train") == "train"
    assert start(str(tmp_path / "images"), "train") == LABEL, "a folder that is asked for is shown"


def test_icons_take_the_colours_in_use_when_they_are_painted(desk: Desk) -> None:
    made = button("Go", icon_name="mdi6.play")

    def brightness() -> int:
        picture = made.icon().pixmap(32, 32).toImage()
        shown = [picture.pixelColor(x, y) for x in range(32) for y in range(32)]
        return max((c.lightness() for c in shown if c.alpha() > 200), default=-1)

    theme = desk.window.context.theme
    theme.set_appearance("light")
    assert 0 <= brightness() < 100
    theme.set_appearance("dark")
    assert brightness() > 150, "a button made in the light appearance is drawn for the dark one"
    made.deleteLater()
