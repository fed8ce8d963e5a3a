from __future__ import annotations

import numpy as np

from coordgan_core.panels import CELL_PX, Panel, cell_px, draw_panels


def block(side: int, value: int, width: int = 0) -> np.ndarray:
    return np.full((side, width or side, 3), value, np.uint8)


def test_renders_are_enlarged_by_a_whole_factor_pixel_by_pixel() -> None:
    render = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    sheet = draw_panels([[Panel(block(300, 9), is_head=True), Panel(render)]], has_heads=True)
    assert cell_px([[Panel(block(300, 9), is_head=True), Panel(render)]]) == 192
    left = 12 + 192 + 18
    assert np.array_equal(sheet[12 : 12 + 192 : 3, left : left + 192 : 3], render)


def test_cells_are_large_enough_for_all() -> None:
    assert cell_px([]) == CELL_PX
    assert cell_px([[Panel(block(320, 1)), Panel(block(256, 1))]]) == 320
    assert cell_px([[Panel(block(64, 1)), Panel(block(128, 1))]]) == 192
    assert cell_px([[Panel(block(128, 1)), Panel(block(320, 1))]]) == 384


def test_an_image_keeps_its_aspect_in_the_middle_of_its_cell() -> None:
    sheet = draw_panels([[Panel(block(200, 0, width=400))]])
    dark = np.argwhere((sheet == 0).all(2))
    assert dark.min(0).tolist() == [12 + 100, 12]
    assert dark.max(0).tolist() == [12 + 299, 12 + 399]
    squeezed = draw_panels([[Panel(block(64, 0), aspect=2.0)]])
    assert (squeezed == 0).all(2).sum() == 192 * 96


def test_captions_take_a_line_and_are_cut_to_their_cell() -> None:
    rows = [[Panel(block(64, 0), "a name far too long to be written below so small a picture")]]
    plain, written = draw_panels(rows, captions=False), draw_panels(rows)
    assert written.shape[0] == plain.shape[0] + 18
    assert written.shape[1] == plain.shape[1]
    assert (written[12 + 192 : -12] < 128).any()
    assert (written[:, -12:] == 255).all(), "nothing beside the cell"
