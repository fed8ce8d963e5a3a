"""The Explore tab: the real page in the real window, with an engine that answers at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.launch import Running
from app.services.explore import Source
from app.ui.pages.explore.board import LINE, Board, Tile, flow, saved_cell
from app.ui.pages.explore.page import ExplorePage
from app.ui.pages.explore.swap import SwapView
from app.ui.pages.explore.track import MOST_POINTS, TrackView
from app.ui.pages.explore.tray import Tray
from app.ui.pages.explore.walk import WalkView
from tests.app.conftest import running_timers, write_images
from tests.app.ui.conftest import Wait, send_mouse
from tests.app.ui.fake_explore import OTHER, SIDE, ExploreEngine, value


class Tab:
    """The window on the Explore tab."""

    def __init__(self, running: Running, engine: ExploreEngine, wait: Wait) -> None:
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


@pytest.fixture
def tab(qapp: QApplication, tmp_path: Path, wait_until: Wait) -> Iterator[Tab]:
    engine = ExploreEngine()
    running = Running(qapp, tmp_path / "profile", engine)
    running.window.resize(1200, 800)
    running.show(None)
    QTest.qWaitForWindowActive(running.window, 1000)
    yield Tab(running, engine, wait_until)
    running.close()
    engine.deleteLater()
    qapp.setStyleSheet("")


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return write_images(tmp_path / "images", 6)


@pytest.fixture
def opened(tab: Tab, images: list[Path]) -> Tab:
    assert tab.running.window.open_project(images[0].parent)
    workspace = tab.running.window.workspace
    assert workspace is not None
    tab.wait(lambda: workspace.browser.model.rowCount() == 6)
    return tab


def cells(board: Board) -> list[list[tuple[int, int]]]:
    """Return red and green of the renders of a grid, without its heads."""
    return [
        [(t.image.pixelColor(0, 0).red(), t.image.pixelColor(0, 0).green()) for t in row[1:] if t and t.image]
        for row in board.rows[1:]
    ]


# --- views


def test_maps_show_every_image_beside_its_map_and_the_frame(opened: Tab) -> None:
    view = opened.show("maps")
    tiles = [tile for row in view.board_view.board.rows for tile in row if tile and tile.image]
    assert len(tiles) == 12
    assert [t.caption for t in tiles[::2]] == [s.title for s in opened.page.images.items]
    frame = view.frame_view.board
    assert [row[0].caption for row in frame.rows] == ["Canonical frame", "The images averaged in it"]
    view._hover((opened.page.images.items[0], "image"), 0.0, 0.0)
    assert all(len(row[0].marks) == 1 for row in view.frame_view.board.rows)
    assert all(t.marks for row in view.board_view.board.rows for t in row if t)
    saved = view.saved_board()
    assert sum(tile is not None for row in saved.rows for tile in row) == 14
    assert not any(t.marks for row in saved.rows for t in row if t), "the mouse is not saved"


def test_a_row_is_one_structure_and_a_column_one_texture(opened: Tab) -> None:
    page = opened.page
    sources = page.images.items
    page.structures.set(sources[:2])
    page.textures.set(sources[2:5])
    found = cells(opened.show("textures").board_view.board)
    structures = [value(s.to_params()) for s in sources[:2]]
    textures = [value(s.to_params()) for s in sources[2:5]]
    assert found == [[(s, t) for t in textures] for s in structures]
    turned = cells(opened.show("structures").board_view.board)
    assert turned == [[(s, t) for s in structures] for t in textures]


def test_generated_images_can_be_rows_and_bring_the_pool_along(opened: Tab) -> None:
    page = opened.page
    view = opened.show("textures")
    tray = next(t for t in view.findChildren(Tray) if t.sources is page.structures)
    tray.fill_menu()
    entry = next(a for a in tray.menu.actions() if "drawn from how your images differ" in a.text())
    entry.trigger()
    opened.wait(lambda: not view.asker.is_busy)
    assert [s.seed for s in page.structures.items[-5:]] == [1, 2, 3, 4, 5]
    assert len(opened.engine.asked[-1]["pool"]) == 6
    assert cells(view.board_view.board)[-1][0][0] == 205


def test_dropped_pictures_become_textures_and_a_broken_one_costs_its_column_only(
    opened: Tab, tmp_path: Path
) -> None:
    view = opened.show("art")
    assert isinstance(view, SwapView)
    assert "Bring pictures along" in view.empty.title.text()
    art = write_images(tmp_path / "art", 2)
    (tmp_path / "art/broken.png").write_bytes(b"no picture")
    (tmp_path / "art/note.txt").write_text("no picture either")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "art"))])
    drop = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    view.dropEvent(drop)  # anywhere on the view
    opened.wait(lambda: len(opened.page.art) == 3)
    opened.wait(lambda: not view.asker.is_busy)
    heads = view.board_view.board.rows[0][1:]
    assert [tile.caption for tile in heads] == ["broken", art[0].stem, art[1].stem]
    assert [bool(tile.problem) for tile in heads] == [True, False, False]
    assert all(len(row) == 2 for row in cells(view.board_view.board))
    assert "1 could not be used" in view.status.text()


def test_reconstructions_stand_beside_their_input_with_the_difference(opened: Tab) -> None:
    view = opened.show("reconstruct")
    first = view.board_view.board.rows[0][:3]
    assert first[1].caption == "reconstruction"
    assert first[2].caption == "difference 5.0 %"
    assert view.status.text() == "Mean difference 5.0 %"


def test_a_clicked_point_is_found_on_every_image(opened: Tab) -> None:
    view = opened.show("track")
    assert isinstance(view, TrackView)
    sources = opened.page.images.items
    view.add_point(sources[0], 0.1, -0.2)
    for source in sources:
        mark = view.marks(source)[0]
        shift = 0.25 * (value(sources[0].to_params()) - value(source.to_params())) / 255
        assert mark.x == pytest.approx(0.1 + shift, abs=1e-3)
        assert mark.y == pytest.approx(-0.2 + shift, abs=1e-3)
        assert mark.certainty == pytest.approx(1.0 if source == sources[0] else 0.8, abs=1e-2)
    captions = [tile.caption for row in view.board_view.board.rows for tile in row if tile]
    assert captions[1].endswith("· 80 %")
    for _ in range(MOST_POINTS + 2):
        view.add_point(sources[1], 0.0, 0.0)
    assert len(view.points) == MOST_POINTS
    assert len({point.colour for point in view.points}) == MOST_POINTS
    view.undo_button.click()
    assert len(view.points) == MOST_POINTS - 1
    view.clear_button.click()
    assert not view.points
    assert not view.clear_button.isEnabled()
    asked = len(opened.engine.asked)
    opened.show("maps")
    opened.show("track")
    assert len(opened.engine.asked) == asked + 1, "maps that are there are not asked for again"


def test_the_mouse_on_an_image_points_at_all_others(opened: Tab) -> None:
    view = opened.show("track")
    surface = view.board_view.surface
    place = surface._places()[0][1].center()
    send_mouse(surface, QEvent.Type.MouseMove, place, Qt.MouseButton.NoButton)
    assert [len(view.marks(s)) for s in opened.page.images.items] == [1] * 6
    send_mouse(surface, QEvent.Type.MouseButtonPress, place)
    assert len(view.points) == 1
    assert not any(m.is_hover for row in view.saved_board().rows for t in row if t for m in t.marks)
    QApplication.sendEvent(surface, QEvent(QEvent.Type.Leave))
    assert [len(view.marks(s)) for s in opened.page.images.items] == [1] * 6


def test_the_picture_follows_the_sliders_and_only_the_last_place_is_asked_for(opened: Tab) -> None:
    view = opened.show("walk")
    assert isinstance(view, WalkView)
    opened.wait(lambda: bool(view._now) and len(view._strips) == 14 and not view._strip_asker.is_busy)
    assert "no random prior" in view.origin.text
    assert "6 of your images" in view.origin.text
    assert [len(view.kinds[k].sliders) for k in ("structure", "texture")] == [2, 3]
    opened.engine.holds = True
    before = len(opened.engine.asked)
    for ticks in range(1, 21):
        view.kinds["structure"].sliders[0].setValue(ticks)
    assert len(opened.engine.asked) == before + 1, "one is on its way, one waits"
    opened.engine.holds = False
    opened.engine.let_go()
    opened.wait(lambda: view._now["image"].pixelColor(0, 0).red() == 148)
    steps = [a for a in opened.engine.asked[before:] if len(a["structure"]) == 1]
    assert [a["structure"][0][0] for a in steps] == [0.1, 2.0]
    assert view._now["image"].pixelColor(0, 0).green() == 128, "the texture stayed"
    view.base.setCurrentIndex(1)
    assert opened.engine.asked[-1]["base"] == opened.page.images.items[0].to_params()
    view.reset()
    opened.wait(lambda: view._now["image"].pixelColor(0, 0).red() == 128)
    opened.wait(lambda: not view._later.isActive() and not view._strip_asker.is_busy)
    assert [tile.text or tile.caption for tile in view.saved_board().rows[1][:3]] == [
        "structure 1",
        "-3 σ",
        "-2 σ",
    ]


# --- what is missing


@pytest.mark.parametrize(
    ("able", "name", "words"),
    [
        ({"encodes": False}, "textures", "maps, but no generator yet"),
        ({"encodes": False}, "walk", "maps, but no generator yet"),
        ({"maps": False, "encodes": False, "draws": True}, "reconstruct", "cannot read yours yet"),
        ({"maps": False, "encodes": False}, "maps", "cannot place images"),
        ({"maps": False, "encodes": False}, "art", "has not been trained yet"),
    ],
)
def test_a_model_that_lacks_a_part_is_explained(
    opened: Tab, able: dict[str, bool], name: str, words: str
) -> None:
    opened.engine.able |= able
    view = opened.show(name)
    assert view.stack.currentIndex() == 1
    assert words in view.empty.title.text()
    assert view.train_button.isVisible()
    assert not opened.page.save_button.isEnabled()
    asked = {a["what"] for a in opened.engine.asked}
    assert asked <= {"abilities", "maps"} if able.get("maps", True) else asked == {"abilities"}


def test_maps_and_tracking_work_without_a_generator(opened: Tab) -> None:
    opened.engine.able["encodes"] = False
    for name in ("maps", "track"):
        assert opened.show(name).stack.currentIndex() == 0
        assert opened.page.save_button.isEnabled()


def test_without_a_model_or_images_it_says_what_to_do(tab: Tab) -> None:
    tab.engine.known = []
    view = tab.show("maps")
    tab.wait(lambda: tab.page.model_box.count() == 0)
    assert "no model yet" in view.empty.title.text()
    tab.engine.known = [OTHER]
    tab.page.entered()
    tab.wait(lambda: tab.page.service.abilities is not None)
    assert "no images" in view.empty.title.text()


def test_trouble_with_the_engine_is_said_and_the_next_try_works(opened: Tab) -> None:
    opened.engine.fails = "The engine ran out of memory."
    view = opened.show("textures")
    assert "ran out of memory" in view.empty.text.text()
    opened.engine.fails = ""
    view.renew()
    opened.wait(lambda: not view.asker.is_busy)
    assert view.shows_board


# --- choosing, leaving, saving


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
