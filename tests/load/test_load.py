"""The loads of ``python -m tests.load``, small."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.project import Project
from coordgan_core.data.images import read_image
from tests.load import work
from tests.load.__main__ import too_much


def test_many_images_are_listed_filtered_propagated_and_exported_in_bounded_memory(tmp_path: Path) -> None:
    found = work.many_images(tmp_path, 200)
    assert found["memory_mb"] < 120
    assert found["open_cpu_s"] < 2.0


def test_tiny_images_are_all_different_and_can_be_read(tmp_path: Path) -> None:
    work.write_tiny(tmp_path / "images", 300)
    found = sorted((tmp_path / "images").iterdir())
    assert len({path.read_bytes() for path in found}) == 300
    assert read_image(found[7]).shape == (16, 24, 3)


def test_the_history_is_counted_without_reading_the_label_maps_in_it(tmp_path: Path) -> None:
    """Opening asks for it, and so does the window: with large batches that took a second."""
    asked: list[str] = []
    with Project.create(tmp_path) as project:
        read = project.database.read
        project.batches._db.read = lambda sql, values=(): (asked.append(sql), read(sql, values))[1]  # type: ignore[method-assign]
        project.runs()
        plans = [str(row[3]) for row in read(f"EXPLAIN QUERY PLAN {asked[0]}", (200,))]
    assert any("COVERING INDEX batch_items_by_batch" in plan for plan in plans), plans


def test_two_hundred_classes_come_back(tmp_path: Path) -> None:
    work.many_classes(tmp_path)


def test_a_large_image_is_labelled_and_saved(tmp_path: Path) -> None:
    found = work.a_huge_image(tmp_path, 3000, 2000)
    assert found["memory_mb"] < 400


def test_many_steps_are_undone_beyond_the_budget_of_memory(tmp_path: Path) -> None:
    work.many_steps(tmp_path, 400, budget=20_000)


def test_long_use_does_not_grow(tmp_path: Path) -> None:
    found = work.soak(tmp_path, 3.0)
    assert found["actions"] >= 150
    assert found["growth"] < 0.25  # so short a time shows only what leaks fast; the long run asks for 5 %


@pytest.mark.slow
def test_the_window_stands_the_loads(tmp_path: Path) -> None:
    place = work.soak_project(tmp_path / "soak", 6)
    found = work.in_the_window("soak", place, 3.0)
    assert found["actions"] >= 50
    assert found["stroke"] > 0
    work.many_images(tmp_path / "many", 40)
    found = work.in_the_window("many", tmp_path / "many" / "project")
    assert found["peak_mb"] < 200


def test_figures_beyond_their_bounds_are_told() -> None:
    loads = ("many images", "many images, in the window", "soak without a window", "soak in the window")
    good = {"growth": 0.049, "memory_mb": 100.0, "open_cpu_s": 0.2}
    assert too_much(dict.fromkeys(loads, good), 1000) == []
    bad = {"growth": 0.06, "memory_mb": 900.0, "open_cpu_s": 9.0}
    assert len(too_much(dict.fromkeys(loads, bad), 1000)) == 6
