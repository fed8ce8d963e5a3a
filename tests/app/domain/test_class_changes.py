from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.domain.classes import (
    AddClass,
    DeleteClass,
    ImportClasses,
    MergeClasses,
    RecolorClass,
    RenameClass,
    ReorderClasses,
    SetClassFlags,
    read_label_list,
)
from app.domain.project import Project
from coordgan_core.errors import LabelError
from tests.app.domain.work import ids_of, stroke


def test_every_change_of_classes_can_be_taken_back(project: Project) -> None:
    image = ids_of(project)[0]
    stroke(project, image, 1)
    stroke(project, image, 2, at=12)
    changes = [
        AddClass("ear"),
        RenameClass(1, "muzzle"),
        RecolorClass(2, (9, 9, 9)),
        SetClassFlags(1, locked=True, visible=False),
        ReorderClasses((0, 2, 1)),
        ImportClasses(("nose", "tail", "background")),
        MergeClasses(2, 1),
        DeleteClass(1),
    ]
    for change in changes:
        table, labels = project.classes, project.labels(image)
        list(project.change_classes(change))
        assert project.classes != table, change
        after, changed = project.classes, project.labels(image)
        batch = project.runs()[0].id
        list(project.exchange(batch))
        assert project.classes == table, change
        assert np.array_equal(project.labels(image), labels), change
        list(project.exchange(batch))
        assert project.classes == after
        assert np.array_equal(project.labels(image), changed)
        list(project.exchange(batch))


def test_previews_count_images_and_pixels(project: Project) -> None:
    a, b = ids_of(project)[:2]
    stroke(project, a, 1)
    stroke(project, b, 1, at=3)
    assert project.preview(DeleteClass(1)).images == 2
    assert project.preview(DeleteClass(1)).pixels == 200
    assert project.preview(DeleteClass(1)).text == "changes the pixels of 2 images"
    assert project.preview(RenameClass(2, "x")).text == "changes no image"
    assert project.class_counts(a) == {1: 100}
    stroke(project, a, 2)
    assert project.class_counts(a) == {2: 100}


def test_impossible_changes_are_refused_and_change_nothing(project: Project) -> None:
    for change in (
        RenameClass(1, "Eye"),
        RenameClass(9, "x"),
        AddClass("  "),
        MergeClasses(0, 1),
        MergeClasses(1, 1),
        ReorderClasses((0, 1)),
        ReorderClasses((1, 0, 2)),
        DeleteClass(0),
    ):
        with pytest.raises(LabelError):
            list(project.change_classes(change))
        assert project.classes.names == ("background", "nose", "eye")
    assert project.runs()[0].kind == "classes"  # that of the fixture


def test_keys_and_ids(project: Project) -> None:
    list(project.change_classes(AddClass("ear", (1, 2, 3))))
    list(project.change_classes(ReorderClasses((0, 3, 1, 2))))
    table = project.classes
    assert [table.at_key(k).name for k in range(4)] == ["background", "ear", "nose", "eye"]  # type: ignore[union-attr]
    assert table.at_key(4) is None
    assert table.palette()[3].tolist() == [1, 2, 3]
    list(project.change_classes(DeleteClass(3)))
    assert project.classes.next_id() == 3


def test_label_lists_of_other_tools(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("__ignore__\n_background_\nnose\n  l eye \n\nnose\n", encoding="utf-8-sig")
    assert read_label_list(file) == ("nose", "l eye")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelError):
        read_label_list(file)
