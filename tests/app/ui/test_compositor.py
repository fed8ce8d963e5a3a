"""What is painted, pixel by pixel, and that a part painted anew meets the rest without a seam."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QRect, QSize

from app.ui.canvas.compositor import HEAT, Compositor, Look
from app.ui.canvas.pyramid import Pyramid, shrink
from app.ui.canvas.viewport import Viewport

pytestmark = pytest.mark.usefixtures("qapp")
RNG = np.random.default_rng(7)
IMAGE = RNG.integers(0, 256, (60, 90, 3), dtype=np.uint8)
LABELS = np.zeros((60, 90), np.uint8)
LABELS[20:40, 30:60] = 1
LABELS[30:50, 50:80] = 2
PALETTE = np.zeros((256, 3), np.uint8)
PALETTE[1], PALETTE[2] = (200, 100, 0), (0, 100, 200)


def compositor(size: tuple[int, int] = (240, 180), scale: float = 1.0) -> Compositor:
    viewport = Viewport()
    viewport.set_view(*size)
    viewport.set_image(90, 60)
    viewport.scale, viewport.x, viewport.y = scale, 10.0, 20.0
    made = Compositor(viewport)
    made.resize(QSize(*size), 1.0)
    made.pyramid = Pyramid(IMAGE)
    made.labels = LABELS
    made.set_palette(PALETTE)
    return made


def picture(made: Compositor) -> np.ndarray:
    made.render(made.backing.rect())
    lines = np.frombuffer(made.backing.constBits(), np.uint8).reshape(made.backing.height(), -1, 4)
    return lines[..., [2, 1, 0]].astype(int)


def test_without_labels_the_image_is_shown_as_it_is() -> None:
    made = compositor()
    made.set_look(overlay=False)
    np.testing.assert_array_equal(picture(made)[20:80, 10:100], IMAGE)


def test_labels_are_mixed_in_by_their_opacity_and_background_is_clear() -> None:
    made = compositor()
    made.set_look(opacity=0.5)
    seen = picture(made)[20:80, 10:100]
    inside = np.s_[24:28, 34:40]
    expected = IMAGE[inside] * 0.5 + np.array([200, 100, 0]) * 0.5
    assert np.abs(seen[inside] - expected).max() <= 2
    np.testing.assert_array_equal(seen[:18], IMAGE[:18])


def test_hidden_classes_and_peeking_show_the_image() -> None:
    made = compositor()
    made.set_palette(PALETTE, frozenset({1, 2}))
    np.testing.assert_array_equal(picture(made)[20:80, 10:100], IMAGE)
    made.set_palette(PALETTE)
    made.peek = True
    np.testing.assert_array_equal(picture(made)[20:80, 10:100], IMAGE)


def test_outlines_leave_the_inside_alone_and_lie_within_the_part() -> None:
    made = compositor()
    made.set_look(contours=True)
    seen = picture(made)[20:80, 10:100]
    np.testing.assert_array_equal(seen[24:28, 34:40], IMAGE[24:28, 34:40])
    np.testing.assert_array_equal(seen[20, 30], [200, 100, 0])
    np.testing.assert_array_equal(seen[19, 30], IMAGE[19, 30])


def test_a_heat_map_is_clear_where_it_is_sure() -> None:
    assert HEAT[255] == 0
    alpha = HEAT >> 24
    assert (np.diff(alpha.astype(int)) <= 0).all(), "the surer, the clearer"
    made = compositor()
    made.labels = None
    made.confidence = np.full((60, 90), 255, np.uint8)
    made.confidence[:, 45:] = 0
    made.set_look(heat=True)
    seen = picture(made)[20:80, 10:100]
    np.testing.assert_array_equal(seen[:, :45], IMAGE[:, :45])
    assert np.abs(seen[:, 45:] - IMAGE[:, 45:]).mean() > 30


def test_brightness_and_contrast_change_the_display_only() -> None:
    before = IMAGE.copy()
    made = compositor()
    made.set_look(overlay=False, brightness=0.25)
    seen = picture(made)[20:80, 10:100]
    np.testing.assert_array_equal(seen, np.clip(np.round((IMAGE / 255 + 0.25) * 255), 0, 255))
    np.testing.assert_array_equal(IMAGE, before)
    assert Look().tone() is None
    table = Look(contrast=0.5).tone()
    assert table is not None
    assert table[127] in (126, 127)
    assert table[64] < 64


@settings(max_examples=25, deadline=None)
@given(
    scale=st.sampled_from([0.3, 0.77, 1.0, 1.9, 3.4, 17.0]),
    rects=st.lists(
        st.tuples(st.integers(0, 230), st.integers(0, 170), st.integers(1, 60), st.integers(1, 60)),
        min_size=1,
        max_size=6,
    ),
    contours=st.booleans(),
)
def test_painting_parts_anew_changes_nothing(
    scale: float, rects: list[tuple[int, int, int, int]], contours: bool
) -> None:
    made = compositor(scale=scale)
    made.set_look(contours=contours)
    whole = picture(made)
    for rect in rects:
        made.render(QRect(*rect))
    lines = np.frombuffer(made.backing.constBits(), np.uint8).reshape(180, 240, 4)
    # Qt steps through a shrunk image in fixed point, from the left end of what it draws: one level may differ
    assert np.abs(lines[..., [2, 1, 0]] - whole).max() <= (2 if scale < 2 else 0)


def test_the_changed_box_covers_all_pixels_that_a_stroke_touches() -> None:
    made = compositor(scale=2.3)
    before = picture(made)
    labels = LABELS.copy()
    labels[10:13, 5:9] = 2
    made.labels = labels
    rect = made.device_rect(5, 10, 9, 13)
    made.render(rect)
    lines = np.frombuffer(made.backing.constBits(), np.uint8).reshape(180, 240, 4)
    by_parts = lines[..., [2, 1, 0]].copy()
    np.testing.assert_array_equal(by_parts, picture(made))
    assert (by_parts != before).any()
    assert rect.width() < 30


def test_levels_halve_down_to_a_few_hundred_pixels() -> None:
    levels = shrink(np.zeros((1000, 1601, 3), np.uint8))
    assert [level.shape[:2] for level in levels] == [(500, 800), (250, 400), (125, 200)]
    assert Pyramid(IMAGE).is_complete
    assert not Pyramid(np.zeros((1000, 1601, 3), np.uint8)).is_complete
