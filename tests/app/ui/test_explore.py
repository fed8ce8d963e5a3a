"""The views of the Explore tab: the real page in the real window, with an engine that answers at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication

from app.services.models import ModelInfo
from app.ui.pages.explore.board import Board
from app.ui.pages.explore.swap import SwapView
from app.ui.pages.explore.track import MOST_POINTS, TrackView
from app.ui.pages.explore.tray import Tray
from app.ui.pages.explore.walk import WalkView
from tests.app.conftest import write_images
from tests.app.ui.conftest import send_mouse
from tests.app.ui.explore_tab import Tab
from tests.app.ui.fake_explore import OTHER, value


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
    assert [row[0].caption for row in frame.rows] == ["Canonical frame", "Images averaged in it"]
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
    assert not view.again_button.isHidden()
    view.again_button.click()
    opened.wait(lambda: not view.asker.is_busy)
    assert view.shows_board
    assert view.again_button.isHidden()


def test_a_model_for_research_use_is_marked_and_the_folders_own_model_is_chosen(opened: Tab) -> None:
    folder = opened.page._project_folder
    assert folder is not None
    card = {"research_use": True, "data_source": "AFHQ, the cats"}
    path = "/m/named.safetensors"
    opened.engine.known = [OTHER, ModelInfo(path, folder.name, "cats", path, card, builtin=True)]
    opened.page.service.set_model("")
    opened.page.entered()
    opened.wait(lambda: opened.page.model_box.count() == 2)
    assert opened.page.model_box.currentText() == f"{folder.name} (research use)"
    opened.wait(lambda: opened.page.service.abilities is not None)
    assert "research use" in opened.page.about.text()
    assert "AFHQ" in opened.page.about.toolTip()
    opened.page.model_box.setCurrentIndex(0)
    assert "research" not in opened.page.about.text()
    assert opened.page.about.toolTip() == ""
