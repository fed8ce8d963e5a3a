"""Odd files of every import format, built by hypothesis, the same every time; by the million: `guided`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from app.domain.formats import FORMATS
from tests.fuzz import odd_imports, odd_trees

EVERY_TIME = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def test_there_are_odd_files_of_every_format() -> None:
    assert set(odd_trees.FORMATS) == set(FORMATS)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_odd_files_are_read_or_refused_with_a_clear_error(name: str, tmp_path: Path) -> None:
    held = []

    @settings(EVERY_TIME, max_examples=40)
    @given(odd_imports.imports(name))
    def check(given: odd_imports.Import) -> None:
        held.append(odd_imports.read(given, odd_imports.emptied(tmp_path / "input")))

    check()
    assert sum(held) > 5, "odd files that are all refused show nothing of how they are read"


def test_a_project_is_sound_after_any_import(tmp_path: Path) -> None:
    images = odd_imports.a_project(tmp_path)

    @settings(EVERY_TIME, max_examples=30)
    @given(odd_imports.imports())
    def check(given: odd_imports.Import) -> None:
        odd_imports.take(given, images, odd_imports.emptied(tmp_path / "input"))

    check()


def test_the_judge_wants_a_name_and_a_remedy() -> None:
    from coordgan_core.errors import LabelError

    given = ("coco", {"a.json": b""}, None)
    for error in (LabelError("it is bad", remedy="look"), LabelError("a.json is bad")):
        with pytest.raises(AssertionError), odd_imports.told(given):
            raise error
    with odd_imports.told(given):
        raise LabelError("a.json is bad", remedy="look")
