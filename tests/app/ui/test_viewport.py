"""The mapping between image and widget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ui.canvas.viewport import MAX_SCALE, MIN_SCALE, Viewport


def viewport(width: int = 400, height: int = 300, view: tuple[int, int] = (800, 600)) -> Viewport:
    made = Viewport()
    made.set_view(*view)
    made.set_image(width, height)
    return made


def test_fit_centres_the_image_with_a_margin() -> None:
    made = viewport()
    # 800 - 2 * 16 = 768 for 400 columns, 600 - 2 * 16 = 568 for 300 rows: the rows decide
    assert made.scale == pytest.approx(568 / 300)
    assert made.to_widget(200, 150) == pytest.approx((400, 300))


def test_pixels_are_found_by_their_outer_edges() -> None:
    made = viewport()
    left, top = made.to_widget(10, 20)
    assert made.pixel_at(left + 0.01, top + 0.01) == (10, 20)
    assert made.pixel_at(left - 0.01, top + 0.01) == (9, 20)
    assert made.pixel_at(*made.to_widget(-0.1, 5)) is None
    assert made.pixel_at(*made.to_widget(5, 300.1)) is None


@given(
    x=st.floats(0.1, 0.9),
    y=st.floats(0.1, 0.9),
    factors=st.lists(st.floats(0.5, 2.0), min_size=1, max_size=6),
)
def test_the_point_under_the_cursor_stays_there(x: float, y: float, factors: list[float]) -> None:
    made = viewport()
    at = (x * 800, y * 600)
    if made.pixel_at(*at) is None:
        return
    before = made.to_image(*at)
    for factor in factors:
        made.zoom_at(*at, factor)
    assert MIN_SCALE <= made.scale <= MAX_SCALE
    if made.scale >= 1:  # smaller ones may be pushed to keep the image in sight
        assert made.to_image(*at) == pytest.approx(before, abs=1e-6)


@given(dx=st.floats(-1e5, 1e5), dy=st.floats(-1e5, 1e5))
def test_the_image_cannot_be_lost(dx: float, dy: float) -> None:
    made = viewport()
    made.pan(dx, dy)
    x0, y0, x1, y1 = made.visible()
    assert x1 > x0
    assert y1 > y0


def test_steps_go_to_round_scales() -> None:
    made = viewport()
    made.zoom_to(1.0)
    made.zoom_at(0, 0, made.step(1))
    assert made.scale == pytest.approx(1.5)
    made.zoom_at(0, 0, made.step(-1))
    assert made.scale == pytest.approx(1.0)


def test_columns_are_those_under_the_centres_of_device_pixels() -> None:
    made = viewport()
    made.scale, made.x = 2.0, 10.0
    # device pixels 19..23 at ratio 2: centres 9.75, 10.25, 10.75, 11.25, 11.75 in widget pixels
    np.testing.assert_array_equal(made.columns(19, 5, 2.0), [-1, 0, 0, 0, 0])


def test_another_image_of_one_size_keeps_the_view() -> None:
    made = viewport()
    made.zoom_at(100, 100, 3)
    seen = (made.scale, made.x, made.y)
    made.set_image(400, 300)
    assert (made.scale, made.x, made.y) == seen
    made.set_image(400, 301)
    assert made.fitted
