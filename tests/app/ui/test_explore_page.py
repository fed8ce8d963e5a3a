"""The Explore tab as a page: choosing models, leaving and coming back, saving; and its boards."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from app.services.explore import Source
from app.ui.pages.explore.board import LINE, Board, Tile, flow, saved_cell
from app.ui.pages.explore.tray import Tray
from tests.app.conftest import running_timers
from tests.app.ui.conftest import send_mouse
from tests.app.ui.explore_tab import Tab
from tests.app.ui.fake_explore import OTHER, SIDE


def test_another_model_drops_late_answers_of_the_one_before(opened: Tab) -> None:
    view = opened.show("textures")
    opened.engine.holds = True
    view.renew()
    first = len(opened.engine.asked)
    place = [m.id for m in opened.page._models()].index(OTHER.id)
    opened.page.model_box.setCurrentIndex(place)
    assert opened.engine.asked[first]["model"] == OTHER.id
    opened.engine.holds = False
    opened.engine.let_go()
    opened.wait(lambda: opened.page.service.abilities is not None and not view.asker.is_busy)
    assert opened.engine.asked[-1]["model"] == OTHER.id
    assert view.shows_board


def test_stop_gaps_are_no_models_to_explore(opened: Tab) -> None:
    opened.show("maps")
    assert [m.name for m in opened.page._models()] == ["Mine", "Other"]


def test_leaving_the_page_asks_for_nothing_more_and_coming_back_goes_on(opened: Tab) -> None:
    view = opened.show("maps")
    opened.engine.holds = True
    view.renew()
    assert view.asker.is_busy
    opened.running.window.show_page("label")
    assert not view.asker.is_busy
    assert not running_timers(opened.page)
    opened.engine.holds = False
    opened.running.window.show_page("explore")
    opened.wait(lambda: not view.asker.is_busy and view.shows_board)


@pytest.mark.parametrize("captions", [True, False])
def test_a_view_is_saved_at_full_size(opened: Tab, tmp_path: Path, captions: bool) -> None:
    page = opened.page
    page.structures.set(page.images.items[:2])
    page.textures.set(page.images.items[:3])
    opened.show("textures")
    page.captions.setChecked(captions)
    page.save(tmp_path / "grid")
    opened.wait((tmp_path / "grid.png").exists)
    picture = QImage(str(tmp_path / "grid.png"))
    cell, margin = 192, 16
    board = page.views["textures"].board_view.board
    width, height = board.size(cell, captions=captions)
    assert (picture.width(), picture.height()) == (round(width) + 2 * margin, round(height) + 2 * margin)
    assert width == 4 * cell + 18 + 2 * 4
    plain, _ = 3 * cell, None
    assert (height > plain + 3 * LINE) == captions
    left = margin + cell + 18
    top = margin + round(board._tops(cell, captions=captions)[1])
    inside = {picture.pixelColor(left + x, top + y).rgb() for x in (0, 95, 191) for y in (0, 95, 191)}
    assert len(inside) == 1, "a render of one colour fills its cell, pixel for pixel"


def test_saving_begins_among_the_pictures_and_goes_on_where_one_saved_last(
    opened: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def choose(_parent: object, _title: str, start: str, _kinds: str) -> tuple[str, str]:
        asked.append(start)
        return str(tmp_path / "maps.png"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    opened.show("maps")
    for _ in range(2):
        opened.page.ask_save()
    model = opened.page.model_box.currentData().name
    folder = opened.page._project_folder
    assert folder is not None
    assert not Path(asked[0]).is_relative_to(folder)
    assert Path(asked[0]).name == f"{model}-maps.png"
    assert asked[1] == str(tmp_path / f"{model}-maps.png")
    opened.wait((tmp_path / "maps.png").exists)


def test_a_picture_that_cannot_be_written_is_said(opened: Tab, tmp_path: Path) -> None:
    said: list[str] = []
    opened.page.host.say = said.append  # type: ignore[method-assign]
    opened.show("textures")
    (tmp_path / "file").write_text("")
    opened.page.save(tmp_path / "file/grid.png")
    opened.wait(lambda: said)
    assert said[0].startswith("Not saved")


def test_model_and_view_are_remembered(opened: Tab) -> None:
    opened.show("walk")
    opened.page.pixels.setChecked(True)
    state = opened.page.state()
    opened.page.show_view("maps")
    opened.page.pixels.setChecked(False)
    opened.page.restore_state(state)
    assert opened.page.current == "walk"
    assert opened.page.pixels.isChecked()
    for nonsense in (b"", b"[]", b"{", b"\xff", b'{"view": "gone"}'):
        opened.page.restore_state(nonsense)
    assert opened.page.current == "walk"


def test_resting_on_a_render_enlarges_it_and_names_its_parts(opened: Tab) -> None:
    view = opened.show("textures")
    surface = view.board_view.surface
    tile, place = next((t, p) for t, p in surface._places() if t.key == ("cell", 0, 1))
    send_mouse(surface, QEvent.Type.MouseMove, place.center(), Qt.MouseButton.NoButton)
    opened.wait(lambda: surface._loupe.isVisible())
    rows, columns = opened.page.structures.items, opened.page.textures.items
    assert [name for _, name in tile.parts] == [f"structure\n{rows[0].title}", f"texture\n{columns[1].title}"]
    assert all(image is not None for image, _ in tile.parts)
    opened.page.show_view("maps")
    opened.wait(lambda: not surface._loupe.isVisible())


def test_an_image_is_taken_out_by_a_click_on_its_thumbnail(opened: Tab) -> None:
    view = opened.show("maps")
    strip = view.findChild(Tray).strip
    second = opened.page.images.items[1]
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(48 + 10, 10))
    assert second not in opened.page.images.items
    assert len(opened.page.images) == 5


# --- boards


def test_a_flow_wraps_groups_without_tearing_them() -> None:
    groups = [[Tile(key=(i, 0)), Tile(key=(i, 1))] for i in range(5)]
    board = flow(groups, 2)
    keys = [[tile.key if tile else None for tile in row] for row in board.rows]
    assert keys == [
        [(0, 0), (0, 1), (1, 0), (1, 1)],
        [(2, 0), (2, 1), (3, 0), (3, 1)],
        [(4, 0), (4, 1), None, None],
    ]
    places = [place.left() for _, place in board.places(100.0, captions=False)][:4]
    assert places == [0, 104, 222, 326], "wider between groups than within"


def test_saved_cells_are_whole_multiples_of_the_models_pictures() -> None:
    small = QImage(SIDE, SIDE, QImage.Format.Format_RGB32)
    photo = QImage(320, 200, QImage.Format.Format_RGB32)
    assert saved_cell(Board(((Tile(small),),))) == 192
    assert saved_cell(Board(((Tile(photo), Tile(photo)),))) == 320
    large = QImage(128, 128, QImage.Format.Format_RGB32)
    assert saved_cell(Board(((Tile(photo, is_head=True), Tile(large)),))) == 256


def test_a_source_is_its_file_or_its_number() -> None:
    assert Source(Path("a/b.jpg")).title == "b"
    assert Source(seed=3).to_params() == {"seed": 3}
