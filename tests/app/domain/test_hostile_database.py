"""Values in a project database that nothing writes: told with the file and what to do, or harmless."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from app.domain.classes import AddClass
from app.domain.project import Project
from app.domain.propagation import last_request
from app.domain.status import Status
from coordgan_core.errors import DataError, LabelError
from tests.app.conftest import write_images


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a change of classes and one of a status in its history."""
    write_images(tmp_path, 2)
    with Project.create(tmp_path) as project:
        list(project.scan())
        list(project.change_classes(AddClass("nose")))
        project.set_status([1], Status.ACCEPTED)
    return tmp_path


def change(folder: Path, sql: str, *values: Any) -> None:
    with contextlib.closing(sqlite3.connect(folder / ".coordlabel/project.sqlite")) as connection:
        assert connection.execute(sql, values).rowcount
        connection.commit()


GOOD = {"id": 0, "name": "background", "color": "#000000", "locked": False, "visible": True}
BAD_TABLES = [
    [[]],
    [None],
    ["background"],
    [1.5],
    [{}],
    [GOOD, {}],
    [{**GOOD, "id": "0"}],
    [{**GOOD, "id": None}],
    [{**GOOD, "id": 1}],
    [GOOD, GOOD],
    [GOOD, {**GOOD, "id": 300, "name": "a"}],
    [GOOD, {**GOOD, "id": 10**30, "name": "a"}],
    [{**GOOD, "name": None}],
    [{**GOOD, "name": " "}],
    [{**GOOD, "name": "\ud800"}],
    [{**GOOD, "name": ["x"]}],
    [{**GOOD, "color": None}],
    [{**GOOD, "color": "red"}],
    [{**GOOD, "color": [0, 0, 0]}],
    [{**GOOD, "locked": "no"}],
    [{**GOOD, "visible": []}],
]


@pytest.mark.parametrize("table", BAD_TABLES, ids=range(len(BAD_TABLES)))
def test_classes_of_a_batch_that_are_none_are_told_and_nothing_is_undone(folder: Path, table: Any) -> None:
    change(folder, "UPDATE batches SET classes_before = ? WHERE kind = 'classes'", json.dumps(table))
    with Project.open(folder) as project:
        before = project.classes
        batch = next(run.id for run in project.runs() if run.kind == "classes")
        with pytest.raises(DataError, match=r"project\.sqlite is damaged") as error:
            list(project.exchange(batch))
        assert "rename project.sqlite" in error.value.remedy
        assert project.classes == before
        assert not next(run for run in project.runs() if run.id == batch).undone


@pytest.mark.parametrize("text", ["{}", "7", "x"])
def test_classes_of_a_batch_that_are_no_list_are_found_at_opening(folder: Path, text: str) -> None:
    change(folder, "UPDATE batches SET classes_after = ?", text)
    with pytest.raises(DataError, match=r"a value of classes_after in batches"):
        Project.open(folder)


def test_classes_of_a_batch_that_nest_without_end_are_told(folder: Path) -> None:
    change(folder, "UPDATE batches SET classes_before = ? WHERE kind = 'classes'", nested(1500))
    with pytest.raises(DataError, match=r"project\.sqlite|classes_before"), Project.open(folder) as project:
        list(project.exchange(next(run.id for run in project.runs() if run.kind == "classes")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"note": []},
        {"note": "\ud800"},
        {"note": None},
        {"confidence": "0.5"},
        {"confidence": 10**30},
        {"run_id": "1"},
        {"run_id": -1},
        {"has_labels": 1 << 63},
        {"depth": 10**30},
        {"history_from": -1},
        {"status": []},
        {"status": "lost"},
        {"origin": {}},
        {"class_scores": []},
        {"class_scores": {"\u00b2": 0.5}},
        {"class_scores": {"1": "x"}},
        {"class_scores": {"9" * 400: 0.5}},
        {"class_scores": {"1": 10**30}},
    ],
    ids=range(18),
)
def test_another_state_of_an_image_that_is_none_is_told(folder: Path, wrong: dict[str, Any]) -> None:
    with Project.open(folder) as project:
        (text,) = project.database.one("SELECT state FROM batch_items") or ("",)
    change(folder, "UPDATE batch_items SET state = ?", json.dumps(json.loads(text) | wrong))
    with Project.open(folder) as project:
        batch = next(run.id for run in project.runs() if run.kind == "status")
        with pytest.raises(DataError, match=r"project\.sqlite is damaged"):
            list(project.exchange(batch))
        assert project.row(1).status is Status.ACCEPTED


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("name", b"\0", "is no class"),
        ("name", "", "without a name"),
        ("color", "red", "red"),
        ("locked", "x", "is no class"),
        ("id", 7, "without background"),
    ],
)
def test_rows_of_classes_that_are_none_are_told_with_the_file(
    folder: Path, column: str, value: Any, found: str
) -> None:
    change(folder, f"UPDATE classes SET {column} = ? WHERE position = 0", value)
    with pytest.raises(DataError, match=rf"project\.sqlite is damaged .*{found}"):
        Project.open(folder)


@pytest.mark.parametrize(
    ("table", "column"), [("images", "label_seq"), ("images", "history_from"), ("images", "revision")]
)
def test_numbers_that_no_next_one_follows_are_found_at_opening(folder: Path, table: str, column: str) -> None:
    change(folder, f"UPDATE {table} SET {column} = ?", (1 << 63) - 1)
    with pytest.raises(DataError, match=rf"a value of {column} in {table}"):
        Project.open(folder)


@pytest.mark.parametrize("width", [1 << 31, 1 << 40, 1 << 61])
def test_a_size_that_no_image_has_takes_no_memory(folder: Path, width: int) -> None:
    change(folder, "UPDATE images SET width = ?", width)
    with Project.open(folder) as project:
        for work in (project.labels, project.provenance):
            with pytest.raises(LabelError, match=r"gives image0\.png a size of") as error:
                work(1)
            assert "rename project.sqlite" in error.value.remedy


def test_numbers_that_json_does_not_have_keep_no_project_from_opening(folder: Path) -> None:
    infinite = {"score": float("inf"), "each": [float("nan"), 1.5], "name": "x"}
    with Project.open(folder) as project:
        batch = project.batches.begin("import", "Import", infinite)
        project.batches.finish(batch, {"mean": float("-inf")})
    change(
        folder,
        "INSERT INTO batches (kind, text, created, details) VALUES ('import', '', 0, '{\"a\": 1e999}')",
    )
    Project.open(folder).close()  # closes what was cut off, and writes its details anew
    with Project.open(folder) as project:
        newest, older = project.runs()[:2]
        assert newest.details == {"a": None, "cut_off": True}
        assert older.details == {"score": None, "each": [None, 1.5], "name": "x", "mean": None}


@pytest.mark.parametrize(
    ("references", "expected"),
    [([1, 2], (1, 2)), ("12", ()), (7, ()), ({"a": 1}, ()), ([1, "x", None, [2], 2], (1, 2)), (None, ())],
)
def test_references_of_a_propagation_that_are_none_are_left_out(
    folder: Path, references: Any, expected: tuple[int, ...]
) -> None:
    with Project.open(folder) as project:
        details = {"model": "m", "references": references, "options": 3}
        project.batches.finish(project.batches.begin("propagation", "Propagate", details))
        request = last_request(project)
    assert request is not None
    assert request.references == expected


def test_a_project_file_that_nests_without_end_is_told(folder: Path) -> None:
    (folder / ".coordlabel/project.json").write_text(nested(5000))
    with pytest.raises(DataError, match=r"project\.json is damaged"):
        Project.open(folder)


def test_the_owner_of_a_lock_may_say_anything(folder: Path) -> None:
    with Project.open(folder):
        for text in (nested(5000), '{"process": 1e999, "machine": "x"}', '{"process": []}', "[]"):
            (folder / ".coordlabel/project.lock").write_text(text)
            with Project.open(folder) as second:
                assert second.read_only_reason == "it is open in another window"
