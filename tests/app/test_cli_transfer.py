from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import main
from app.domain.formats import FORMATS
from app.domain.project import Project, Status
from coordgan_core.labels import LabelClasses, read_label_map, write_label_map


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Any]:
    """Run a command with ``--json``; return its exit code and what it has written to stdout."""
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def made(project: Project) -> Path:
    """A closed project with six images and the classes nose and eye."""
    project.close()
    return project.images_folder


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Label maps of three images and of one that is not there, with the classes snout and ear."""
    folder = tmp_path / "maps"
    for i in (0, 1, 2, 9):
        labels = np.zeros((32, 48), np.uint8)
        labels[4:9, 5:20] = 1
        labels[20:25, 5:20] = 2
        write_label_map(folder / f"image{i}.png", labels)
    LabelClasses.from_names(["background", "snout", "ear"]).save(folder / "classes.json")
    return folder


def test_an_import_is_a_dry_run_first(made: Path, maps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = told(capsys, "import", made, maps, "--format", "index-png")
    assert (code, report["dry_run"]) == (1, True)
    assert sorted(report["matched"]) == ["image0.png", "image1.png", "image2.png"]
    assert len(report["missing"]) == 3
    assert report["extra"] == ["image9"]
    assert report["new_classes"] == ["snout", "ear"]
    with Project.open(made) as project:
        assert not project.runs()[1:]
        assert project.counts()[Status.UNLABELLED] == 6


def test_classes_are_mapped_by_name_or_id_and_the_import_is_one_step(
    made: Path, maps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "import",
        made,
        maps,
        "--format",
        "index-png",
        "--map",
        "Snout=nose",
        "--map",
        "2=background",
    ]
    code, report = told(capsys, *arguments)
    assert (code, report["dry_run"], report["taken"]) == (0, False, 3)
    assert [line["class"] for line in report["mapping"]] == ["nose", "background"]
    with Project.open(made) as project:
        assert project.classes.names == ("background", "nose", "eye")
        image = project.find("image1.png") or 0
        assert project.class_counts(image) == {1: 75}
        list(project.exchange(report["batch"]))
        assert not project.row(image).has_labels
    assert main(["import", str(made), str(maps), "--format", "index-png", "--map", "tail=nose"]) == 2


def test_a_persons_work_stays_unless_it_is_to_be_overwritten(
    made: Path, maps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["import", made, maps, "--format", "index-png", "--yes"]
    assert told(capsys, *arguments)[1]["taken"] == 3
    again = told(capsys, *arguments)[1]
    assert (again["taken"], sorted(again["left_alone"])) == (0, ["image0.png", "image1.png", "image2.png"])
    assert told(capsys, *arguments, "--overwrite")[1]["taken"] == 3


def test_a_label_map_that_does_not_fit_is_told_and_the_rest_is_taken(
    made: Path, maps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_label_map(maps / "image1.png", np.ones((5, 5), np.uint8))
    code, report = told(capsys, "import", made, maps, "--format", "index-png", "--yes")
    assert (code, report["taken"], list(report["failures"])) == (1, 2, ["image1.png"])


def test_what_looks_like_no_format_is_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("nothing")
    code, error = told(capsys, "import", made, tmp_path / "notes")
    assert code == 1
    assert "--format" in error["remedy"]
    assert main(["import", str(made), str(tmp_path / "none")]) == 1


def test_an_export_writes_and_a_second_one_warns_before(
    made: Path, maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "import", made, maps, "--format", "index-png", "--yes")[0] == 0
    out = tmp_path / "out"
    dry = told(capsys, "export", made, out, "--format", "index-png", "--dry-run")[1]
    assert dry["dry_run"]
    assert not out.exists()
    code, report = told(capsys, "export", made, out, "--format", "index-png")
    assert (code, report["written"], len(report["skipped"])) == (0, 3, 3)
    with Project.open(made) as project:
        labels = project.labels(project.find("image2.png") or 0)
    assert np.array_equal(read_label_map(next(out.rglob("image2.png"))), labels)
    code, report = told(capsys, "export", made, out, "--format", "index-png", "--image", "image2.png")
    assert (code, report["dry_run"]) == (1, True)
    assert "would be replaced" in report["warnings"][0]
    code, report = told(
        capsys, "export", made, out, "--format", "index-png", "--only", "name:image2*", "--yes"
    )
    assert (code, report["written"]) == (0, 1)


def test_results_are_never_written_among_the_images(made: Path) -> None:
    assert main(["export", str(made), str(made / "out"), "--format", "index-png"]) == 1


def test_all_formats_are_listed_and_others_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = told(capsys, "formats")
    assert code == 0
    assert [line["name"] for line in report["formats"]] == list(FORMATS)
    assert main(["formats"]) == 0
    assert "index-png" in capsys.readouterr().out
    assert main(["export", str(made), "out", "--format", "telex"]) == 2
    assert main(["export", str(made), "out", "--format", "index-png", "--choice", "a=b"]) == 2
