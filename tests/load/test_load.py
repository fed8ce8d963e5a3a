"""The loads of ``python -m tests.load``, small."""

from __future__ import annotations

from pathlib import Path

from tests.load import work


def test_many_images_are_listed_filtered_propagated_and_exported_in_bounded_memory(tmp_path: Path) -> None:
    found = work.many_images(tmp_path, 200)
    assert found["memory_mb"] < 120


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
