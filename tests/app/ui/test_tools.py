"""Every tool on the canvas, by the mouse, against the plain functions of the domain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QPointF, Qt

from app.domain.classes import SetClassFlags
from app.domain.label_map import polygon_region, stroke_region
from app.domain.project import Project
from app.services.document import Document
from app.ui.canvas.canvas_view import CanvasView
from app.ui.canvas.tools.superpixels import SuperpixelTool
from app.ui.workspace import Workspace
from tests.app.ui.conftest import Desk, click, drag, send_mouse

RIGHT = Qt.MouseButton.RightButton
SHAPE = (80, 120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One image: a blue square on grey, and a class for it."""
    pixels = np.full((*SHAPE, 3), 90, np.uint8)
    pixels[20:60, 30:70] = (20, 40, 200)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "square.png")
    with Project.create(tmp_path / "images") as project:
        list(project.scan())
        from app.domain.classes import ImportClasses

        list(project.change_classes(ImportClasses(("square", "rest"))))
    return tmp_path / "images"


@pytest.fixture
def workspace(desk: Desk, folder: Path) -> Workspace:
    opened = desk.open(folder)
    opened.options.set("brush_px", 7)
    return opened


@pytest.fixture
def canvas(workspace: Workspace) -> CanvasView:
    return workspace.canvas


@pytest.fixture
def document(workspace: Workspace) -> Document:
    found = workspace.document
    assert found is not None
    return found


def painted(points: list[tuple[float, float]], radius: float) -> np.ndarray:
    """Return the pixels of a stroke through image points, as the domain sees them."""
    mask = np.zeros(SHAPE, bool)
    for first, second in zip([points[0], *points], points, strict=False):
        region = stroke_region([(p[0] - 0.5, p[1] - 0.5) for p in (first, second)], radius, SHAPE)
        assert region is not None
        mask[region.box.slices] |= region.mask
    return mask


def test_a_stroke_is_what_the_domain_paints_and_one_step_of_undo(
    canvas: CanvasView, document: Document
) -> None:
    points = [(10.5, 10.5), (40.5, 15.5), (40.5, 60.5)]
    drag(canvas, points)
    np.testing.assert_array_equal(document.labels == 1, painted(points, 3.5))
    assert document.undo()
    assert not document.labels.any()


def test_a_brush_of_one_pixel_paints_one_pixel(
    canvas: CanvasView, document: Document, workspace: Workspace
) -> None:
    workspace.options.set("brush_px", 1)
    click(canvas, 33.5, 44.5)
    assert np.argwhere(document.labels).tolist() == [[44, 33]]


def test_right_button_alt_and_eraser_paint_background(canvas: CanvasView, document: Document) -> None:
    document.set_labels(np.ones(SHAPE, np.uint8), "all")
    click(canvas, 10.5, 10.5, RIGHT)
    assert document.labels[10, 10] == 0
    drag(canvas, [(30.5, 10.5), (31.5, 10.5)], modifiers=Qt.KeyboardModifier.AltModifier)
    assert document.labels[10, 30] == 0
    canvas.set_tool("eraser")
    click(canvas, 50.5, 10.5)
    assert document.labels[10, 50] == 0
    assert document.labels[40, 40] == 1


def test_locked_classes_and_only_background_hold_for_strokes(
    desk: Desk, canvas: CanvasView, document: Document, workspace: Workspace
) -> None:
    start = np.zeros(SHAPE, np.uint8)
    start[:, 60:] = 2
    document.set_labels(start, "half")
    workspace.session.change_classes(SetClassFlags(2, locked=True))
    desk.wait(lambda: 2 in document.rules.locked)
    drag(canvas, [(50.5, 40.5), (70.5, 40.5)])
    assert (document.labels[:, 60:] == 2).all()
    assert (document.labels[40, 50:60] == 1).all()
    workspace.session.change_classes(SetClassFlags(2, locked=False))
    desk.wait(lambda: not document.rules.locked)
    workspace.set_only_background(True)
    drag(canvas, [(50.5, 20.5), (70.5, 20.5)])
    assert (document.labels[:, 60:] == 2).all()


def test_polygon_fills_adjusts_and_subtracts(canvas: CanvasView, document: Document) -> None:
    canvas.set_tool("polygon")
    canvas.setFocus()
    corners = [(10.5, 10.5), (60.5, 10.5), (60.5, 50.5)]
    for corner in corners:
        click(canvas, *corner)
    assert not document.labels.any(), "nothing is painted before it is closed"
    drag(canvas, [(60.5, 50.5), (60.5, 60.5)])
    corners[2] = (60.5, 60.5)
    send_key(canvas, Qt.Key.Key_Return)
    region = polygon_region([(x - 0.5, y - 0.5) for x, y in corners], SHAPE)
    assert region is not None
    expected = np.zeros(SHAPE, bool)
    expected[region.box.slices] = region.mask
    np.testing.assert_array_equal(document.labels == 1, expected)
    for corner in [(40.5, 12.5), (58.5, 12.5), (58.5, 30.5)]:
        click(canvas, *corner)
    send_key(canvas, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert document.labels[14, 55] == 0
    assert document.labels[50, 58] == 1


def send_key(
    canvas: CanvasView, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    from PySide6.QtTest import QTest

    QTest.keyClick(canvas, key, modifiers)


def test_backspace_takes_a_corner_back_and_escape_all_of_them(canvas: CanvasView, document: Document) -> None:
    canvas.set_tool("polygon")
    for corner in [(10.5, 10.5), (60.5, 10.5), (60.5, 50.5)]:
        click(canvas, *corner)
    send_key(canvas, Qt.Key.Key_Backspace)
    assert len(canvas.tool.points) == 2  # type: ignore[attr-defined]
    send_key(canvas, Qt.Key.Key_Escape)
    assert not canvas.tool.is_busy
    assert not document.labels.any()


def test_fill_keeps_holes_and_islands(canvas: CanvasView, document: Document) -> None:
    start = np.zeros(SHAPE, np.uint8)
    start[10:40, 10:40] = 2
    start[20:30, 20:30] = 0
    start[60:70, 90:100] = 2
    document.set_labels(start, "ring and island")
    canvas.set_tool("fill")
    click(canvas, 12.5, 12.5)
    expected = start.copy()
    expected[10:40, 10:40][start[10:40, 10:40] == 2] = 1
    np.testing.assert_array_equal(document.labels, expected)
    click(canvas, 12.5, 12.5, RIGHT)
    assert (document.labels[10:40, 10:40] == 0).all()
    assert (document.labels[60:70, 90:100] == 2).all()


def test_the_wand_takes_similar_colours_and_dragging_widens_it(
    desk: Desk, canvas: CanvasView, document: Document, workspace: Workspace
) -> None:
    canvas.set_tool("wand")
    workspace.options.set("tolerance", 10)
    click(canvas, 40.5, 40.5)
    desk.wait(lambda: document.labels.any())
    expected = np.zeros(SHAPE, bool)
    expected[20:60, 30:70] = True
    np.testing.assert_array_equal(document.labels == 1, expected)
    document.undo()
    start = QPointF(*canvas.viewport.to_widget(40.5, 40.5))
    send_mouse(canvas, QEvent.Type.MouseButtonPress, start)
    send_mouse(canvas, QEvent.Type.MouseMove, start + QPointF(900, 0))
    assert workspace.options.tolerance == 255
    send_mouse(canvas, QEvent.Type.MouseButtonRelease, start + QPointF(900, 0))
    desk.wait(lambda: document.labels.all())


def test_pick_takes_the_class_and_swap_goes_back(
    canvas: CanvasView, document: Document, workspace: Workspace
) -> None:
    start = np.zeros(SHAPE, np.uint8)
    start[:, 60:] = 2
    document.set_labels(start, "half")
    canvas.set_tool("pick")
    click(canvas, 80.5, 10.5)
    assert workspace.options.class_id == 2
    workspace.options.swap_class()
    assert workspace.options.class_id == 1


def test_superpixels_paint_a_region_that_ends_at_the_edge(
    desk: Desk, canvas: CanvasView, document: Document
) -> None:
    canvas.set_tool("superpixels")
    tool = canvas.tool
    assert isinstance(tool, SuperpixelTool)
    desk.wait(lambda: tool.is_ready)
    click(canvas, 45.5, 40.5)
    mask = document.labels == 1
    assert mask[40, 45]
    assert mask.sum() > 50
    outside = mask.copy()
    outside[20:60, 30:70] = False
    assert outside.sum() <= 0.1 * mask.sum()


def test_smoothing_moves_an_outline_to_the_edge(desk: Desk, canvas: CanvasView, document: Document) -> None:
    rough = np.zeros(SHAPE, np.uint8)
    rough[17:63, 33:73] = 1
    document.set_labels(rough, "rough")
    truth = np.zeros(SHAPE, bool)
    truth[20:60, 30:70] = True
    before = ((document.labels == 1) ^ truth).sum()
    canvas.set_tool("smooth")
    click(canvas, 50.5, 40.5)
    desk.wait(lambda: not np.array_equal(document.labels, rough))
    assert ((document.labels == 1) ^ truth).sum() < before / 2
    assert document.undo()
    np.testing.assert_array_equal(document.labels, rough)


def test_alt_and_right_drag_change_the_brush(canvas: CanvasView, workspace: Workspace) -> None:
    alt = Qt.KeyboardModifier.AltModifier
    start = QPointF(*canvas.viewport.to_widget(40, 40))
    send_mouse(canvas, QEvent.Type.MouseButtonPress, start, RIGHT, alt)
    send_mouse(canvas, QEvent.Type.MouseMove, start + QPointF(20 * canvas.viewport.scale, 0), RIGHT, alt)
    send_mouse(canvas, QEvent.Type.MouseButtonRelease, start, RIGHT, alt)
    assert workspace.options.brush_px == 7 + 40
    assert workspace.document is not None
    assert not workspace.document.labels.any()


def test_space_and_the_middle_button_move_the_image(canvas: CanvasView, document: Document) -> None:
    from PySide6.QtTest import QTest

    x, y = canvas.viewport.x, canvas.viewport.y
    start = QPointF(100, 100)
    for button in (Qt.MouseButton.MiddleButton, Qt.MouseButton.LeftButton):
        if button is Qt.MouseButton.LeftButton:
            QTest.keyPress(canvas, Qt.Key.Key_Space)
        send_mouse(canvas, QEvent.Type.MouseButtonPress, start, button)
        send_mouse(canvas, QEvent.Type.MouseMove, start + QPointF(15, 5), button)
        send_mouse(canvas, QEvent.Type.MouseButtonRelease, start + QPointF(15, 5), button)
    QTest.keyRelease(canvas, Qt.Key.Key_Space)
    assert (canvas.viewport.x, canvas.viewport.y) == pytest.approx((x + 30, y + 10))
    assert not document.labels.any()


def test_peeking_lasts_as_long_as_the_key(canvas: CanvasView) -> None:
    from PySide6.QtTest import QTest

    QTest.keyPress(canvas, Qt.Key.Key_QuoteLeft)
    assert canvas.compositor.peek
    QTest.keyRelease(canvas, Qt.Key.Key_QuoteLeft)
    assert not canvas.compositor.peek


def test_changing_the_tool_in_a_stroke_keeps_it(canvas: CanvasView, document: Document) -> None:
    start = QPointF(*canvas.viewport.to_widget(40.5, 40.5))
    send_mouse(canvas, QEvent.Type.MouseButtonPress, start)
    canvas.set_tool("pan")
    assert not document.is_stroking
    assert document.labels[40, 40] == 1
    assert document.can_undo


def test_a_closed_project_leaves_what_was_painted_on_disk(desk: Desk, folder: Path) -> None:
    opened = desk.open(folder)
    opened.options.set("brush_px", 9)
    drag(opened.canvas, [(20.5, 20.5), (90.5, 20.5)])
    assert opened.document is not None
    expected = opened.document.labels.copy()
    assert desk.window.close_project()
    with Project.open(folder) as project:
        image = project.find("square.png")
        assert image is not None
        np.testing.assert_array_equal(project.labels(image), expected)
        assert expected.any()
