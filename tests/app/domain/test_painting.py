"""Painting against plain models, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.domain.edits import Box, Edit, Recorder, pack_labels, unpack_labels
from app.domain.label_map import (
    PaintRules,
    boundaries,
    flood_region,
    paint,
    polygon_region,
    rectangle_region,
    replace_class,
    stroke_region,
    wand_region,
)
from app.domain.undo import UndoStack
from coordgan_core.errors import LabelError

MAPS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.integers(0, 3))
PLACES = st.floats(-8, 30, allow_nan=False).map(lambda v: round(v, 2))
RADII = st.sampled_from([0.5, 1.0, 2.3, 5.0, 9.5])


def distance_to_line(x: int, y: int, points: list[tuple[float, float]]) -> float:
    """Distance of a pixel's centre to a chain of segments, by the textbook."""
    ends = points if len(points) > 1 else points * 2
    best = np.inf
    for (ax, ay), (bx, by) in zip(ends[:-1], ends[1:], strict=True):
        dx, dy = bx - ax, by - ay
        square = dx * dx + dy * dy
        t = 0.0 if square == 0 else min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / square))
        best = min(best, float(np.hypot(x - ax - t * dx, y - ay - t * dy)))
    return best


def full_mask(region: object, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    if region is not None:
        mask[region.box.slices] = region.mask  # type: ignore[attr-defined]
    return mask


@given(st.lists(st.tuples(PLACES, PLACES), min_size=1, max_size=4), RADII)
@settings(max_examples=150, deadline=None)
def test_stroke_is_all_pixels_within_the_radius(points: list[tuple[float, float]], radius: float) -> None:
    shape = (17, 23)
    mask = full_mask(stroke_region(points, radius, shape), shape)
    for y in range(shape[0]):
        for x in range(shape[1]):
            distance = distance_to_line(x, y, points)
            if abs(distance - radius) > 1e-6:
                assert mask[y, x] == (distance < radius), (x, y, distance)


def test_smallest_brush_paints_one_pixel() -> None:
    region = stroke_region([(3.0, 2.0)], 0.5, (8, 8))
    assert region is not None
    assert region.box == Box(3, 2, 4, 3)


def test_triangle_by_hand() -> None:
    region = polygon_region([(1, 1), (5, 1), (1, 5)], (8, 8))
    expected = np.zeros((8, 8), bool)
    for y, width in enumerate([5, 4, 3, 2, 1], 1):
        expected[y, 1 : 1 + width] = True
    assert np.array_equal(full_mask(region, (8, 8)), expected)


def test_polygon_reaching_outside_is_cut_not_moved() -> None:
    region = polygon_region([(-50, -50), (3, -50), (3, 100), (-50, 100)], (6, 9))
    expected = np.zeros((6, 9), bool)
    expected[:, :4] = True
    assert np.array_equal(full_mask(region, (6, 9)), expected)
    assert polygon_region([(-9, -9), (-5, -9), (-5, -5)], (6, 9)) is None


def flooded(labels: np.ndarray, x: int, y: int) -> np.ndarray:
    """Four-neighbour flood fill with a stack."""
    mask = np.zeros(labels.shape, bool)
    waiting = [(x, y)]
    while waiting:
        px, py = waiting.pop()
        inside = 0 <= px < labels.shape[1] and 0 <= py < labels.shape[0]
        if inside and not mask[py, px] and labels[py, px] == labels[y, x]:
            mask[py, px] = True
            waiting += [(px + 1, py), (px - 1, py), (px, py + 1), (px, py - 1)]
    return mask


@given(MAPS, st.data())
@settings(max_examples=100, deadline=None)
def test_flood_fill_is_the_connected_piece(labels: np.ndarray, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, labels.shape[1] - 1))
    y = data.draw(st.integers(0, labels.shape[0] - 1))
    found = full_mask(flood_region(labels, x, y), labels.shape)
    assert np.array_equal(found, flooded(labels, x, y))
    everywhere = full_mask(flood_region(labels, x, y, contiguous=False), labels.shape)
    assert np.array_equal(everywhere, labels == labels[y, x])
    assert flood_region(labels, labels.shape[1], y) is None


def test_flood_fill_follows_a_long_snake_through_all_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.domain.label_map._FIRST_REACH_PX", 2)
    labels = np.zeros((40, 50), np.uint8)
    for row in range(0, 40, 2):
        labels[row] = 1
        labels[row + 1, -1 if row % 4 == 0 else 0] = 1
    for x, y in ((0, 0), (25, 20), (49, 38)):
        assert np.array_equal(full_mask(flood_region(labels, x, y), labels.shape), flooded(labels, x, y))


def test_wand_compares_every_channel() -> None:
    image = np.zeros((3, 5, 3), np.uint8)
    image[:, 2] = (10, 0, 0)
    image[:, 3] = (0, 0, 30)
    assert full_mask(wand_region(image, 0, 0, tolerance=9), (3, 5)).sum() == 6
    assert full_mask(wand_region(image, 0, 0, tolerance=10), (3, 5)).sum() == 9
    assert full_mask(wand_region(image, 0, 0, tolerance=10, contiguous=False), (3, 5)).sum() == 12
    assert full_mask(wand_region(image, 0, 0, tolerance=30), (3, 5)).all()


@given(
    MAPS,
    st.sets(st.integers(0, 3), max_size=2),
    st.booleans(),
    st.none() | st.integers(0, 3),
    st.integers(0, 3),
)
@settings(max_examples=120, deadline=None)
def test_rules_hold_for_every_pixel(
    labels: np.ndarray, locked: set[int], only_background: bool, only_over: int | None, value: int
) -> None:
    before = labels.copy()
    rules = PaintRules(frozenset(locked), only_background, None if only_background else only_over)
    region = rectangle_region(2, 1, 9, 12, labels.shape)
    edit = paint(labels, region, value, rules)
    inside = full_mask(region, labels.shape)
    for y, x in np.ndindex(labels.shape):
        old = before[y, x]
        free = inside[y, x] and old not in locked
        free &= old == 0 if only_background else only_over is None or old == only_over
        assert labels[y, x] == (value if free else old)
    if edit is not None:
        edit.inverse().apply(labels)
    assert np.array_equal(labels, before)


@given(MAPS)
@settings(deadline=None)
def test_boundaries_are_where_right_or_lower_neighbours_differ(labels: np.ndarray) -> None:
    found = boundaries(labels)
    for y, x in np.ndindex(labels.shape):
        right = x + 1 < labels.shape[1] and labels[y, x] != labels[y, x + 1]
        below = y + 1 < labels.shape[0] and labels[y, x] != labels[y + 1, x]
        assert found[y, x] == (right or below)
    box = Box(0, 0, max(1, labels.shape[1] // 2), max(1, labels.shape[0] // 2))
    assert np.array_equal(boundaries(labels, box), found[box.slices])


@given(MAPS, MAPS)
@settings(deadline=None)
def test_edit_leads_there_and_back_through_bytes(old: np.ndarray, new: np.ndarray) -> None:
    height, width = min(old.shape[0], new.shape[0]), min(old.shape[1], new.shape[1])
    old, new = old[:height, :width], new[:height, :width]
    edit = Edit.between(old, new)
    if edit is None:
        assert np.array_equal(old, new)
        return
    assert edit.changed == np.count_nonzero(old != new)
    work = old.copy()
    copy = Edit.from_bytes(edit.to_bytes())
    assert copy == edit
    copy.apply(work)
    assert np.array_equal(work, new)
    change = {i: int((new == i).sum() - (old == i).sum()) for i in range(4)}
    assert copy.class_changes() == {i: n for i, n in change.items() if n}
    copy.inverse().apply(work)
    assert np.array_equal(work, old)


@given(st.binary(max_size=80))
def test_damaged_bytes_are_refused(data: bytes) -> None:
    for read in (Edit.from_bytes, unpack_labels):
        try:
            found = read(data)
        except LabelError:
            continue
        assert isinstance(found, np.ndarray) or found.patches == ()


def test_a_lying_header_expands_no_bomb() -> None:
    bomb = pack_labels(np.zeros((4000, 4000), np.uint8))
    with pytest.raises(LabelError, match="damaged"):
        unpack_labels(np.array([2, 2], "<u4").tobytes() + bomb[8:])


def test_recorder_costs_the_tiles_it_touches() -> None:
    labels = np.zeros((4000, 6000), np.uint8)
    recorder = Recorder(labels)
    for step in range(0, 3900, 50):
        region = stroke_region([(step, step), (step + 50, step + 50)], 10, labels.shape)
        assert region is not None
        recorder.touch(region.box)
        labels[region.box.slices][region.mask] = 1
    assert len(recorder._tiles) < 60
    edit = recorder.finish()
    assert edit is not None
    assert edit.nbytes < 100_000
    assert edit.changed == np.count_nonzero(labels)


def test_recorder_gives_back_what_was_there() -> None:
    labels = np.arange(400, dtype=np.uint8).reshape(20, 20) % 7
    before = labels.copy()
    recorder = Recorder(labels)
    recorder.touch(Box(3, 3, 9, 9))
    labels[3:9, 3:9] = 5
    assert np.array_equal(recorder.before(Box(0, 0, 20, 20)), before)
    recorder.rollback()
    assert np.array_equal(labels, before)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("stroke"), st.tuples(PLACES, PLACES), RADII, st.integers(0, 3)),
        st.tuples(
            st.just("fill"),
            st.tuples(st.integers(0, 22), st.integers(0, 16)),
            st.just(0.0),
            st.integers(0, 3),
        ),
        st.tuples(
            st.just("replace"), st.tuples(st.integers(0, 3), st.just(0)), st.just(0.0), st.integers(0, 3)
        ),
        st.tuples(st.sampled_from(["undo", "redo"]), st.just((0, 0)), st.just(0.0), st.just(0)),
    ),
    max_size=25,
)


@given(ACTIONS, st.sampled_from([0, 400, 1 << 20]))
@settings(max_examples=80, deadline=None)
def test_strokes_fills_and_undos_equal_a_list_of_copies(actions: list[Any], budget: int) -> None:
    shape = (17, 23)
    labels = np.zeros(shape, np.uint8)
    model, place = [labels.copy()], 0
    journal: dict[int, Edit] = {}
    stack = UndoStack(journal.__getitem__, budget_bytes=budget)
    rows = []
    for number, (kind, at, radius, value) in enumerate(actions, 1):
        if kind in ("undo", "redo"):
            step = stack.undo() if kind == "undo" else stack.redo()
            possible = place > 0 if kind == "undo" else place < len(model) - 1
            assert (step is not None) == possible
            if step is not None:
                step.edit.apply(labels)
                place += -1 if kind == "undo" else 1
                rows.append((number, kind, step.text, step.sequence))
        else:
            region = None
            if kind == "stroke":
                region = stroke_region([at, (at[0] + 4, at[1] + 1)], radius, shape)
            elif kind == "fill":
                region = flood_region(labels, *at)
            edit = replace_class(labels, at[0], value) if kind == "replace" else paint(labels, region, value)
            if edit is not None:
                journal[number] = edit
                stack.push(number, kind, edit)
                stack.durable = number
                model, place = [*model[: place + 1], labels.copy()], place + 1
                rows.append((number, "do", kind, 0))
        assert np.array_equal(labels, model[place])
        assert stack.depth == (place, len(model) - 1 - place)
    largest = max((edit.nbytes for edit in journal.values()), default=0)
    assert stack.nbytes <= budget + 2 * largest  # the two steps next to the present stay in memory
    # the history that is rebuilt from the journal goes the same ways
    again = UndoStack(journal.__getitem__)
    again.restore(rows)
    assert again.depth == stack.depth
    while (step := again.undo()) is not None:
        step.edit.apply(labels)
    assert not labels.any()
