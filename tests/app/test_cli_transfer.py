from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.cli import main
from app.domain.formats import FORMATS
from app.domain.project import Project, Status
from coordgan_core.labels import LabelClasses, read_label_map, write_confidence, write_label_map
from coordgan_core.manifest import Manifest, stamp


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
    (tmp_path / "photos").mkdir()
    for i in (0, 1, 2, 9):
        Image.new("RGB", (48, 32)).save(tmp_path / "photos" / f"image{i}.png")
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


@pytest.mark.parametrize("name", list(FORMATS))
def test_converting_there_and_back_keeps_every_label(
    maps: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = ["--images", tmp_path / "photos"]  # YOLO does not store sizes
    code, report = told(capsys, "convert", maps, tmp_path / "there", "--to", name, *photos)
    assert (code, report["from"], report["written"]) == (0, "index-png", 4)
    assert report["mean_iou"] == 1.0
    arguments = ["convert", tmp_path / "there", tmp_path / "back", "--from", name, "--to", "index-png"]
    code, report = told(capsys, *arguments, *photos)
    assert (code, report["written"], report["mean_iou"]) == (0, 4, 1.0)
    names = {c.id: c.name for c in LabelClasses.load(next((tmp_path / "back").rglob("classes.json"))).classes}
    for path in maps.glob("*.png"):
        back, there = read_label_map(next((tmp_path / "back").rglob(path.name))), read_label_map(path)
        assert {names[i] for i in np.unique(back)} == {"background", "snout", "ear"}
        assert np.array_equal(back > 0, there > 0)


def test_a_lossy_conversion_says_so_before_and_tells_the_honest_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.zeros((32, 48), np.uint8)
    labels[4:28, 4:44] = 1
    labels[10:20, 10:30] = 0
    write_label_map(tmp_path / "maps" / "a.png", labels)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (48, 32)).save(tmp_path / "photos" / "a.jpg")
    arguments = ["convert", tmp_path / "maps", tmp_path / "out", "--to", "yolo-seg", "--choice", "holes=fill"]
    arguments += ["--from", "index-png", "--images", tmp_path / "photos"]
    code, report = told(capsys, *arguments)
    assert code == 0
    kept = (24 * 40 - 200) / (24 * 40)  # of the one class; the hole was background
    assert report["mean_iou"] == pytest.approx(kept, abs=1e-5)
    assert report["warnings"]
    assert main([str(a) for a in arguments]) == 0
    streams = capsys.readouterr()
    assert "warning:" in streams.err
    assert f"mean {kept:.6f}" in streams.out


def test_converting_tells_of_label_maps_that_cannot_be_read(
    maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (maps / "image1.png").write_bytes(b"damaged")
    code, report = told(
        capsys,
        "convert",
        maps,
        tmp_path / "out",
        "--from",
        "index-png",
        "--to",
        "labelme",
        *["--images", tmp_path / "photos"],
    )
    assert (code, report["written"], list(report["failures"])) == (1, 3, ["image1.png"])
    assert main(["convert", str(maps), str(tmp_path / "out"), "--to", "telex"]) == 2
    assert main(["convert", str(maps), str(maps), "--to", "labelme"]) == 1


# --- a propagated folder


@pytest.fixture
def propagated(made: Path, tmp_path: Path) -> Path:
    """What `coordlabel propagate` leaves: image0 to image2, whose classes are called ear and nose."""
    out = tmp_path / "labelled"
    manifest = Manifest(out, "key", {"model": "digest"})
    for i in range(3):
        labels = np.zeros((32, 48), np.uint8)
        labels[:8], labels[8:16] = 1, 2
        write_label_map(out / "labels" / f"image{i}.png", labels)
        write_confidence(out / "confidence" / f"image{i}.png", np.full((32, 48), 0.2 + 0.2 * i))
        entry = {"score": 0.2 + 0.2 * i, "source": [], "written": stamp(out / "labels" / f"image{i}.png")}
        manifest.add(f"image{i}.png", entry)
    manifest.add("gone.png", {"score": 1.0, "source": [], "written": []})
    manifest.flush(now=True)
    LabelClasses.from_names(["background", "ear", "nose"]).save(out / "classes.json")
    return out


def test_a_propagated_folder_comes_as_a_machines_work_with_its_confidence(
    made: Path, propagated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Project.open(made) as project:
        batch = project.batches.begin("import", "Mine")
        project.batches.write_labels(batch, project.find("image1.png") or 0, np.ones((32, 48), np.uint8))
        project.batches.finish(batch)
    code, report = told(capsys, "import", made, propagated)
    assert (code, report["dry_run"], report["extra"]) == (1, True, ["gone.png"])
    assert (len(report["matched"]), report["protected"]) == (3, ["image1.png"])
    code, report = told(capsys, "import", made, propagated, "--yes")
    assert (code, report["taken"], report["left_alone"]) == (0, 2, ["image1.png"])
    with Project.open(made) as project:
        first = project.row(project.find("image0.png") or 0)
        assert (first.status, first.confidence) == (Status.PROPAGATED, 0.2)
        assert project.classes.names == ("background", "nose", "eye", "ear")
        assert project.class_counts(first.id) == {3: 8 * 48, 1: 8 * 48}
        assert project.class_confidence(first.id)[1] == pytest.approx(0.2)
        confidence = project.confidence(first.id)
        assert confidence is not None
        assert confidence.mean() == pytest.approx(0.2)
        list(project.exchange(report["batch"]))
        assert project.classes.names == ("background", "nose", "eye")
        assert not project.row(first.id).has_labels


def test_what_someone_edited_in_a_propagated_folder_comes_as_that_persons(
    made: Path, propagated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_label_map(propagated / "labels" / "image2.png", np.ones((32, 48), np.uint8))
    os.utime(propagated / "labels" / "image2.png", (9, 9))
    (propagated / "labels" / "image0.png").write_bytes(b"damaged")
    os.utime(propagated / "labels" / "image0.png", (9, 9))
    code, report = told(capsys, "import", made, propagated, "--yes")
    assert (code, report["taken"], list(report["failures"])) == (1, 2, ["image0.png"])
    with Project.open(made) as project:
        assert project.row(project.find("image2.png") or 0).status is Status.EDITED
    (propagated / "propagation.json").write_text("[")
    assert main(["import", str(made), str(propagated)]) == 1


@pytest.mark.parametrize("place", ["file", "file/below"])
@pytest.mark.parametrize("name", ["index-png", "coco", "cvat-mask"])
def test_a_file_in_place_of_the_target_is_told_before_anything_is_written(
    place: str, name: str, made: Path, maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert told(capsys, "import", made, maps, "--yes")[0] == 0
    for command in (
        ["export", made, tmp_path / place, "--format", name, "--yes"],
        ["convert", maps, tmp_path / place, "--to", name],
    ):
        code, report = told(capsys, *command)
        assert (code, report["event"], report["expected"]) == (1, "error", "a folder")
        assert "file" in report["found"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_told(
    maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    code, report = told(capsys, "convert", maps, tmp_path / "closed" / "out", "--to", "coco")
    assert code == 1
    assert "may not be written to" in report["found"]


def test_without_an_image_there_is_no_copy_and_the_rest_is_exported(
    made: Path, maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "import", made, maps, "--yes")[0] == 0
    (made / "image1.png").unlink()
    arguments = ["export", made, tmp_path / "out", "--format", "labelme", "--copy-images", "--yes"]
    code, report = told(capsys, *arguments)
    assert (code, report["written"], list(report["failures"])) == (1, 2, ["image1.png"])
    assert "without copies" in report["failures"]["image1.png"]
    code, report = told(capsys, *arguments[:3], "--format", "index-png", "--copy-images", "--yes")
    assert (code, report["written"]) == (0, 3), "this format has no place for copies"


def test_after_an_export_the_share_that_arrived_is_told_for_every_image(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = np.zeros((32, 48), np.uint8)
    ring[4:20, 4:20] = 1
    write_label_map(tmp_path / "rings" / "image1.png", ring)
    ring[8:16, 8:16] = 0
    write_label_map(tmp_path / "rings" / "image0.png", ring)
    assert told(capsys, "import", made, tmp_path / "rings", "--format", "index-png", "--yes")[0] == 0
    arguments = ["export", made, tmp_path / "out", "--format", "yolo-seg", "--choice", "holes=fill", "--yes"]
    assert told(capsys, *arguments)[1]["iou"] == {"image0.png": 0.75, "image1.png": 1.0}
    assert main([*map(str, arguments)]) == 0
    assert "loses pixels: image0.png: IoU 0.750000" in capsys.readouterr().err


def test_messages_about_wrong_choices_and_classes_say_what_was_found(
    made: Path, maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = told(capsys, "import", made, maps, "--map", "tail=nose")
    assert (code, error["found"]) == (2, "the source has no class 'tail'")
    assert "1 snout, 2 ear" in error["expected"]
    code, error = told(capsys, "export", made, tmp_path / "out", "--format", "coco", "--choice", "holes=cut")
    assert (code, error["found"]) == (2, "coco has no choice 'holes=cut'")
    assert "segmentation=rle|polygons" in error["expected"]
    code, error = told(capsys, "import", made, maps, "--format", "bmp")
    assert code == 2
    assert "one of pascal-voc" in error["expected"]


def test_without_a_terminal_nothing_but_words_is_written(
    maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["convert", str(maps), str(tmp_path / "out"), "--to", "index-png"]) == 0
    assert capsys.readouterr().err.splitlines() == ["format: index-png"]
