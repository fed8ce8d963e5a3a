from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import main
from app.domain.project import Project, Result, Status
from coordgan_core.labels import LabelClasses, read_label_map


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Any]:
    """Run a command with ``--json``; return its exit code and what it has written to stdout."""
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def made(project: Project) -> Path:
    """A closed project: a reference, five propagated images of rising confidence."""
    batch = project.batches.begin("propagation", "Propagate")
    labels = np.zeros((32, 48), np.uint8)
    labels[8:24, 8:24] = 1
    for i in range(1, 6):
        result = Result(labels, np.full(labels.shape, 0.1 * i, np.float32), 0.15 * i, {1: 0.9 - 0.1 * i})
        project.batches.write_result(batch, project.find(f"image{i}.png") or 0, result)
    project.batches.write_labels(batch, project.find("image0.png") or 0, labels, status=Status.REFERENCE)
    project.batches.finish(batch)
    project.close()
    return project.images_folder


def test_a_project_is_made_with_classes_and_made_again_it_lists_what_is_new(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "names.txt").write_text("nose\nleft eye\n")
    (images / "bad.jpg").write_bytes(b"no image")
    code, report = told(capsys, "init", images, "--classes", tmp_path / "names.txt", "--class", "ear")
    assert (code, report["images"], report["added"]) == (0, 7, 7)
    assert report["classes"] == ["nose", "left eye", "ear"]
    assert [line["image"] for line in report["unreadable"]] == ["bad.jpg"]
    (images / "more").mkdir()
    (images / "image0.png").rename(images / "more" / "new.png")
    code, report = told(capsys, "init", images)
    assert (code, report["images"], report["added"]) == (0, 8, 1)
    assert main(["init", str(images)]) == 0
    assert "8 images" in capsys.readouterr().out


def test_ids_and_colours_of_a_class_file_hold_in_a_new_project(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [{"id": 0, "name": "background"}, {"id": 7, "name": "wing", "color": "#102030"}]
    LabelClasses.from_json(given).save(tmp_path / "classes.json")
    place = tmp_path / "elsewhere"
    code, report = told(capsys, "init", images, "--project", place, "--classes", tmp_path / "classes.json")
    assert (code, report["project"]) == (0, str(place))
    with Project.open(place) as project:
        wing = project.classes.by_name("wing")
        assert wing is not None
        assert (wing.id, wing.color) == (7, (16, 32, 48))


def test_label_info_counts_images_and_pixels(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = told(capsys, "label-info", made)
    assert code == 0
    background, nose, eye = report["classes"]
    assert (nose["name"], nose["images"], nose["pixels"]) == ("nose", 6, 6 * 256)
    assert (eye["images"], eye["pixels"]) == (0, 0)
    assert background["pixels"] == 6 * (32 * 48 - 256)
    assert sum(line["share"] for line in report["classes"]) == pytest.approx(1)
    assert report["images"][2]["classes"] == {"nose": 256}
    code, report = told(capsys, "label-info", made, "--query", "status:reference")
    assert [line["image"] for line in report["images"]] == ["image0.png"]
    assert main(["label-info", str(made), "--per-image"]) == 0
    assert "image3.png  propagated  nose 256" in capsys.readouterr().out


def test_the_review_list_is_worst_first(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = told(capsys, "review-list", made)
    assert code == 0
    assert [line["image"] for line in report["images"]] == [f"image{i}.png" for i in range(1, 6)]
    assert report["counts"]["left"] == 5
    assert report["label_next"]["image"] == "image1.png"
    by_class = told(capsys, "review-list", made, "--class", "Nose", "--limit", "2")[1]
    assert [line["image"] for line in by_class["images"]] == ["image5.png", "image4.png"]
    below = told(capsys, "review-list", made, "--below", "0.4")[1]
    assert [line["image"] for line in below["images"]] == ["image1.png", "image2.png"]
    assert main(["review-list", str(made)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == " 0.150  image1.png"
    assert main(["review-list", str(made), "--class", "nose", "--limit", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == " 0.400  image5.png"
    assert told(capsys, "review-list", made, "--class", "tail")[0] == 2


def test_accepting_takes_images_or_a_confidence_and_is_one_step(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, report = told(capsys, "accept", made, "--above", "0.6")
    assert code == 0
    assert report["changed"] == ["image4.png", "image5.png"]
    monkeypatch.chdir(made.parent)
    assert told(capsys, "accept", made, "images/image1.png", "--as", "rejected")[1]["status"] == "rejected"
    assert told(capsys, "accept", made, "image2.png", "--as", "reference")[0] == 0
    with Project.open(made) as project:
        found = {row.path: row.status for row in project.rows(project.ids())}
        assert found["image1.png"] is Status.REJECTED
        assert found["image4.png"] is Status.ACCEPTED
        assert len(project.references()) == 2
        list(project.exchange(report["batch"]))
        assert project.row(project.find("image5.png") or 0).status is Status.PROPAGATED


def test_what_has_no_labels_is_not_accepted(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.close()
    code, report = told(capsys, "accept", project.images_folder, "image0.png")
    assert (code, report["changed"], report["without_labels"]) == (1, [], ["image0.png"])


@pytest.mark.parametrize(
    "more", [[], ["image1.png", "--above", "0.5"], ["--above", "1.5"], ["image1.png", "--as", "best"]]
)
def test_wrong_usage_of_accept_exits_with_2(made: Path, more: list[str]) -> None:
    assert main(["accept", str(made), *more]) == 2


def test_a_project_that_is_open_elsewhere_is_only_read(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Project.open(made):
        assert told(capsys, "review-list", made)[0] == 0
        code, error = told(capsys, "accept", made, "image1.png")
        assert code == 1
        assert "cannot be changed" in error["found"]
        assert told(capsys, "init", made)[0] == 1


def test_no_project_and_no_image_are_errors_that_say_what_to_do(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = told(capsys, "label-info", tmp_path)
    assert code == 1
    assert f"coordlabel init {tmp_path}" in error["remedy"]
    assert "image9.png" in told(capsys, "accept", made, "image9.png")[1]["found"]


# --- validate


def kinds(report: dict[str, Any]) -> dict[str, str]:
    return {f["kind"]: f["path"] for f in report["findings"]}


def test_a_whole_project_has_no_findings(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = told(capsys, "validate", made)
    assert (code, report["label_maps"], report["findings"]) == (0, 6, [])


def test_what_is_wrong_in_a_project_is_found_and_mended_where_that_is_safe(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from coordgan_core.labels import write_label_map

    labels = made / ".coordlabel" / "labels"
    (labels / "image0.png.png").write_bytes(b"damaged")
    (labels / "image1.png.png").unlink()
    odd = np.array(read_label_map(labels / "image2.png.png"))
    odd[0, 0] = 99
    write_label_map(labels / "image2.png.png", odd)
    write_label_map(labels / "image3.png.png", odd[:, :-1])
    write_label_map(labels / "gone.png.png", odd)
    (made / "image5.png").write_bytes(b"not even an image")
    (labels / ".image9.part").write_bytes(b"")
    assert main(["init", str(made)]) == 0
    code, report = told(capsys, "validate", made)
    assert code == 1
    expected = {
        "damaged": "labels/image0.png.png",
        "missing": "labels/image1.png.png",
        "ids": "labels/image2.png.png",
        "count": "labels/image2.png.png",
        "size": "labels/image3.png.png",
        "orphan": "labels/gone.png.png",
        "image": "image5.png",
        "leftover": "labels/.image9.part",
    }
    assert kinds(report) == expected
    assert all(f["remedy"] and not f["repaired"] for f in report["findings"])
    code, report = told(capsys, "validate", made, "--repair")
    assert code == 1
    mended = {f["kind"] for f in report["findings"] if f["repaired"]}
    assert mended == {"damaged", "missing", "ids", "count", "leftover"}
    assert (made / ".coordlabel" / "set-aside" / "image0.png.png").read_bytes() == b"damaged"
    code, report = told(capsys, "validate", made)
    assert (code, set(kinds(report))) == (1, {"size", "orphan", "image"})
    with Project.open(made) as project:
        assert project.classes.by_id(99).name == "class 99"
        assert project.row(project.find("image0.png") or 0).status is Status.UNLABELLED
        assert not project.labels(project.find("image1.png") or 0).any()


def test_a_cut_off_batch_is_closed_by_a_repair(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(made) as project:
        project.batches.begin("propagation", "Propagate")
    assert kinds(told(capsys, "validate", made)[1]) == {"batch": "project.sqlite"}
    code, report = told(capsys, "validate", made, "--repair")
    assert (code, [f["repaired"] for f in report["findings"]]) == (0, [True])
    assert told(capsys, "validate", made)[0] == 0


def test_a_damaged_database_is_a_finding_with_its_cure(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = made / ".coordlabel" / "project.sqlite"
    content = bytearray(database.read_bytes())
    content[4096 : 4096 + 9000] = b"\xff" * 9000
    database.write_bytes(content)
    code, report = told(capsys, "validate", made)
    assert code == 1
    assert {f["kind"] for f in report["findings"]} == {"database"}
    assert "rename" in report["findings"][0]["remedy"]


def test_a_folder_of_label_maps_is_checked_against_its_images(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from coordgan_core.labels import write_label_map

    maps = tmp_path / "maps"
    for i in range(5):
        write_label_map(maps / f"image{i}.png", np.full((32, 48), i, np.uint8))
    assert told(capsys, "validate", maps)[0] == 0
    write_label_map(maps / "image3.png", np.zeros((32, 40), np.uint8))
    write_label_map(maps / "other.png", np.zeros((32, 48), np.uint8))
    (maps / "image0.png").write_bytes(b"damaged")
    LabelClasses.from_names(["background", "a", "b"]).save(maps / "classes.json")
    code, report = told(capsys, "validate", maps, "--images", made)
    assert code == 1
    assert kinds(report) == {
        "damaged": "image0.png",
        "size": "image3.png",
        "ids": "image4.png",
        "orphan": "other.png",
        "missing": "image5.png",
    }
    assert main(["validate", str(maps), "--repair"]) == 2
    assert main(["validate", str(made), "--images", str(made)]) == 2
    assert main(["validate", str(tmp_path / "none")]) == 1


def test_an_image_on_which_propagation_failed_is_a_finding_with_its_reason(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Project.open(made) as project:
        batch = project.batches.begin("propagation", "Propagate")
        project.batches.write_failure(batch, project.find("image3.png") or 0, "image3.png is cut off")
        project.batches.finish(batch)
    code, report = told(capsys, "validate", made)
    found = [f for f in report["findings"] if f["kind"] == "failed"]
    assert (code, [(f["path"], f["problem"]) for f in found]) == (
        1,
        [("image3.png", "image3.png is cut off")],
    )
    assert main(["validate", str(made / "image0.png")]) == 1
    assert "is a file" in capsys.readouterr().err
