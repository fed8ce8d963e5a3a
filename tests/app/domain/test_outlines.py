from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.domain.formats.outlines import area, centred, fill_centred, painted, trace
from app.domain.formats.polygons import fill

masks = arrays.arrays(
    np.bool_, st.one_of(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.just((1, 14)), st.just((14, 1)))
)


@given(masks)
@settings(max_examples=150, deadline=None)
def test_filling_the_outlines_gives_the_mask_back(mask: np.ndarray) -> None:
    pieces = trace(mask)
    rings = [ring for piece in pieces for ring in piece.rings]
    assert np.array_equal(fill(rings, mask.shape), mask)
    assert sum(area(ring) for ring in rings) == mask.sum()


@given(masks)
@settings(max_examples=60, deadline=None)
def test_each_piece_is_one_four_connected_component(mask: np.ndarray) -> None:
    count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    pieces = trace(mask)
    found = {fill(piece.rings, mask.shape).tobytes() for piece in pieces}
    assert len(pieces) == count - 1
    assert found == {(numbers == i).tobytes() for i in range(1, count)}
    for piece in pieces:
        assert area(piece.outer) > 0
        assert all(area(hole) < 0 for hole in piece.holes)


def test_a_ring_has_only_its_corners() -> None:
    mask = np.zeros((6, 8), bool)
    mask[1:5, 2:7] = True
    mask[2:4, 4:6] = False
    assert [piece.outer.tolist() for piece in trace(mask)] == [[[2, 1], [7, 1], [7, 5], [2, 5]]]
    assert trace(mask)[0].holes[0].tolist() == [[4, 2], [4, 4], [6, 4], [6, 2]]


def test_a_square_fills_nine_pixels_as_corners_are_between_pixels() -> None:
    filled = fill([[[1, 1], [4, 1], [4, 4], [1, 4]]], (6, 6))
    assert filled.sum() == 9
    assert filled[1:4, 1:4].all()


def test_outlines_beyond_the_image_are_cut_off() -> None:
    assert fill([[[-5, -5], [50, -5], [50, 2], [-5, 2]]], (4, 3)).sum() == 6
    assert fill([[[-9, 1], [-2, 1], [-2, 3]]], (4, 3)).sum() == 0


@pytest.mark.parametrize("corners", [[], [[1, 1]], [[1, 1], [4, 4]]])
def test_a_line_has_no_inside(corners: list[list[float]]) -> None:
    assert fill([np.array(corners).reshape(-1, 2)], (5, 5)).sum() == 0


maps = arrays.arrays(
    np.uint8,
    st.one_of(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.just((1, 14)), st.just((14, 1))),
    elements=st.integers(0, 3),
)


@given(maps)
@settings(max_examples=150, deadline=None)
def test_painting_rings_in_order_gives_the_label_map_back(labels: np.ndarray) -> None:
    by_edges, by_centres = np.zeros_like(labels), np.zeros_like(labels)
    for class_id, ring in painted(labels):
        by_edges[fill([ring], labels.shape)] = class_id
        by_centres[fill_centred(centred(ring), labels.shape)] = class_id
    assert np.array_equal(by_edges, labels)
    assert np.array_equal(by_centres, labels)
