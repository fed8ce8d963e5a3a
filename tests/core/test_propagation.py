import dataclasses
import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from coordgan_core import coords
from coordgan_core.atlas import AtlasConfig
from coordgan_core.calibration import Calibration
from coordgan_core.data.images import read_image
from coordgan_core.errors import DataError, DiskFullError, LabelError
from coordgan_core.flow import AlignConfig
from coordgan_core.labels import LabelClasses, read_confidence, read_label_map, write_label_map
from coordgan_core.metrics import Confusion
from coordgan_core.predictor import Predictor
from coordgan_core.propagation import (
    Failed,
    Finished,
    Labelled,
    Prepared,
    Propagated,
    PropagationOptions,
    Propagator,
    Reference,
    Started,
    propagate_folder,
    propagate_labels,
    read_reference,
)
from tests.core.propagation_stubs import ShiftModel, picture

SMALL = PropagationOptions(work_px=64)
SHIFTS = [(0.0, 0.0), (0.15, 0.0), (-0.1, 0.1), (0.05, -0.15)]


def predictor():
    return Predictor(ShiftModel(), device="cpu", batch=2)


def reference(width=96, height=96, **options):
    return Reference(*picture(width, height), **options)


def iou(predicted, truth):
    confusion = Confusion(4)
    confusion.add(predicted, truth)
    return confusion.mean_iou()


@pytest.mark.parametrize("size", [(96, 96), (150, 80), (64, 210)])
def test_labels_arrive_on_images_of_any_size(size):
    queries = [picture(*size, shift) for shift in SHIFTS]
    events = list(propagate_labels(predictor(), [reference()], [q[0] for q in queries], options=SMALL))
    assert isinstance(events[0], Prepared)
    assert events[0].classes == (0, 1, 2, 3)
    assert [e.index for e in events[1:]] == [0, 1, 2, 3]
    for event, (_, truth) in zip(events[1:], queries, strict=True):
        assert isinstance(event, Propagated)
        assert event.labels.shape == event.confidence.shape == truth.shape
        assert iou(event.labels, truth) > 0.9
        assert 0 <= event.confidence.min() <= event.confidence.max() <= 1
        assert event.raw is not None
        assert event.raw.shape == truth.shape


def test_confidence_is_low_at_borders_and_high_inside():
    image, labels = picture(96, 96, (0.1, 0.0))
    by_position = Calibration(weights=(0.5, 0.2, 0.0, 0.0), intercept=0.0)
    events = propagate_labels(predictor(), [reference()], [image], options=SMALL, calibration=by_position)
    event = list(events)[1]
    assert labels[70, 48] == 1
    assert event.confidence[70, 48] > event.confidence[17:22, 48].min() + 0.05


def test_a_reference_among_the_queries_keeps_its_labels():
    odd = reference()
    odd.labels[:5, :5] = 3  # nothing would propagate this
    event = list(propagate_labels(predictor(), [odd], [odd.image], options=SMALL))[1]
    assert np.array_equal(event.labels, odd.labels)
    assert event.score == 1.0


def test_references_of_several_sizes_are_fused_by_weight():
    lying = reference(120, 60, weight=0.1)
    lying = dataclasses.replace(lying, labels=np.where(lying.labels > 0, 2, 0).astype(np.uint8))
    query, truth = picture(96, 96, (0.1, 0.0))
    event = list(propagate_labels(predictor(), [reference(), lying], [query], options=SMALL))[1]
    assert iou(event.labels, truth) > 0.9


def test_three_references_calibrate_the_confidence():
    references = [Reference(*picture(96, 96, s)) for s in SHIFTS[:3]]
    events = propagate_labels(predictor(), references, [picture(96, 96, SHIFTS[3])[0]], options=SMALL)
    prepared = next(events)
    assert prepared.calibration.images == 3
    assert prepared.calibration.ece < 0.1
    events.close()


def test_alignment_can_be_switched_on():
    options = dataclasses.replace(SMALL, align=AlignConfig(size=64), refine=None)
    query, truth = picture(96, 96, (0.1, 0.0))
    event = list(propagate_labels(predictor(), [reference()], [query], options=options))[1]
    assert iou(event.labels, truth) > 0.8


def test_references_that_do_not_fit_are_refused():
    image, labels = picture()
    for given, word in (
        ([], "no reference"),
        ([Reference(image, labels[:-1])], "pixels"),
        ([Reference(image, np.zeros_like(labels), name="a.jpg")], "a.jpg is empty"),
    ):
        with pytest.raises(LabelError, match=word):
            next(propagate_labels(predictor(), given, [image]))


def test_references_are_read_from_files(tmp_path):
    image, labels = picture()
    Image.fromarray(image).save(tmp_path / "a.png")
    write_label_map(tmp_path / "l.png", labels)
    assert np.array_equal(read_reference(tmp_path / "a.png", tmp_path / "l.png").labels, labels)
    with pytest.raises(LabelError, match="unknown class ids 2, 3"):
        read_reference(tmp_path / "a.png", tmp_path / "l.png", known_ids=[0, 1])


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    for i, shift in enumerate(SHIFTS):
        Image.fromarray(picture(90 + 10 * i, 80, shift)[0]).save(images / f"q{i}.png")
    Image.fromarray(picture(64, 64, (0.1, 0.1))[0]).save(images / "sub" / "q0.png")
    Image.fromarray(picture(64, 64, (0.1, 0.1))[0]).save(images / "q1.bmp")  # the stem of q1.png
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return images


def run(folder, out, **options):
    events = list(propagate_folder(predictor(), [reference()], folder, out, **{"options": SMALL, **options}))
    return events, events[-1]


def outputs(out):
    return {p.relative_to(out).as_posix(): p.stat().st_mtime_ns for p in out.rglob("*.png")}


def test_a_folder_is_labelled_and_a_second_run_does_nothing(folder, tmp_path):
    out = tmp_path / "out"
    events, finished = run(folder, out)
    assert isinstance(events[0], Prepared)
    assert events[1] == Started(7, 0, 0)
    assert (finished.labelled, finished.failed) == (6, 1)
    failed = [e for e in events if isinstance(e, Failed)]
    assert [f.name for f in failed] == ["broken.jpg"]
    assert sum(isinstance(e, Labelled) for e in events) == 6
    labels = {p.relative_to(out / "labels").as_posix() for p in (out / "labels").rglob("*.png")}
    assert labels == {"q0.png", "q1.png.png", "q1.bmp.png", "q2.png", "q3.png", "sub/q0.png"}
    assert iou(read_label_map(out / "labels" / "q3.png"), picture(120, 80, SHIFTS[3])[1]) > 0.9
    assert (out / "contact_sheet.png").is_file()
    assert LabelClasses.load(out / "classes.json").ids == (0, 1, 2, 3)
    manifest = json.loads((out / "propagation.json").read_text())
    assert list(manifest["failures"]) == ["broken.jpg"]
    assert 0 < manifest["images"]["sub/q0.png"]["score"] <= 1
    before = outputs(out)
    finished = run(folder, out)[1]
    assert (finished.labelled, finished.done, finished.failed) == (0, 6, 1)
    assert outputs(out) == before


def test_closing_half_way_keeps_what_is_done_and_the_next_run_completes(folder, tmp_path):
    out = tmp_path / "out"
    events = propagate_folder(predictor(), [reference()], folder, out, options=SMALL)
    first = next(e for e in events if isinstance(e, Labelled))
    events.close()
    assert first.labels.is_file()
    assert not list(out.rglob("*.part"))
    finished = run(folder, out)[1]
    assert finished.done >= 1
    assert finished.done + finished.labelled == 6


def one_by_one():
    return Predictor(ShiftModel(), device="cpu", batch=1)


@pytest.mark.parametrize("workers", [0, 3])
def test_closing_notes_all_that_was_written_so_that_nothing_looks_edited(folder, tmp_path, workers):
    out = tmp_path / "out"
    run(folder, out)
    before = outputs(out / "labels")
    events = propagate_folder(
        one_by_one(), [reference(100, 100)], folder, out, options=SMALL, workers=workers
    )
    next(e for e in events if isinstance(e, Labelled))
    events.close()
    written = {name for name, time in outputs(out / "labels").items() if before[name] != time}
    assert 1 <= len(written) < 6
    events = list(propagate_folder(predictor(), [reference(100, 100)], folder, out, options=SMALL))
    assert events[1] == Started(7, len(written), 0)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_events_come_in_the_order_of_the_images_and_results_do_not_depend_on_threads(
    folder, tmp_path, workers
):
    events, _ = run(folder, tmp_path / "out", workers=workers)
    names = [e.name for e in events if isinstance(e, Labelled | Failed)]
    assert names == ["broken.jpg", "q0.png", "q1.bmp", "q1.png", "q2.png", "q3.png", "sub/q0.png"]
    run(folder, tmp_path / "other", workers=2)
    for path in (tmp_path / "out").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "other" / path.relative_to(tmp_path / "out")).read_bytes()


def test_a_file_that_cannot_be_written_stops_the_work_and_the_rest_is_noted(folder, tmp_path):
    out = tmp_path / "out"
    (out / "labels" / "q2.png" / "in the way").mkdir(parents=True)
    with pytest.raises(DiskFullError):
        list(propagate_folder(one_by_one(), [reference()], folder, out, options=SMALL))
    assert {"q0.png", "q1.bmp", "q1.png"} <= set(json.loads((out / "propagation.json").read_text())["images"])
    assert not list(out.rglob("*.part"))


def test_large_jpegs_are_read_small_and_references_among_them_keep_their_labels(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    large, labels = picture(1000, 800)
    for name, pixels in {"same.jpg": large, "other.jpg": picture(1000, 800, SHIFTS[1])[0]}.items():
        Image.fromarray(pixels).save(images / name, quality=95)
    known = Reference(read_image(images / "same.jpg"), labels)
    propagator = Propagator(predictor(), [known])
    query = propagator.read(images / "same.jpg")
    assert query.size == (1000, 800)
    assert query.near.shape == (400, 500, 3)
    assert propagator.query(known.image).near.shape == (400, 500, 3)
    list(propagate_folder(predictor(), [known], images, tmp_path / "out"))
    assert np.array_equal(read_label_map(tmp_path / "out/labels/same.png"), labels)
    found = read_label_map(tmp_path / "out/labels/other.png")
    assert found.shape == (800, 1000)
    assert iou(found, picture(1000, 800, SHIFTS[1])[1]) > 0.9
    # a reference is certain of itself; of the other, what is kept small says what the whole would have said
    assert (read_confidence(tmp_path / "out/confidence/same.png") == 1.0).all()
    small = tmp_path / "out/confidence/other.png"
    assert read_confidence(small).shape == (205, 256)
    query = propagator.read(images / "other.jpg")
    whole = propagator.label(query, propagator.predictor.analyse([query.near])[0]).confidence
    assert np.abs(read_confidence(small, size=(1000, 800)) - whole).mean() < 0.01


def test_missing_results_changed_images_and_changed_references_are_done_again(folder, tmp_path):
    out = tmp_path / "out"
    run(folder, out)
    (out / "labels" / "q0.png").unlink()
    Image.fromarray(picture(64, 64, (-0.1, 0.0))[0]).save(folder / "q2.png")
    assert run(folder, out)[1].labelled == 2
    other = reference(100, 100)
    events = list(propagate_folder(predictor(), [other], folder, out, options=SMALL))
    assert events[-1].labelled == 6
    changed = dataclasses.replace(SMALL, refine=None)
    assert run(folder, out, options=changed)[1].labelled == 6


def test_label_maps_that_someone_edited_are_kept(folder, tmp_path):
    out = tmp_path / "out"
    run(folder, out)
    mine = np.full((80, 90), 2, np.uint8)
    write_label_map(out / "labels" / "q0.png", mine)
    os.utime(out / "labels" / "q0.png", (9, 9))
    events = list(propagate_folder(predictor(), [reference(100, 100)], folder, out, options=SMALL))
    assert events[-1].edited == 1
    assert np.array_equal(read_label_map(out / "labels" / "q0.png"), mine)


def test_results_inside_the_folder_are_not_taken_for_images(folder):
    run(folder, folder / "out")
    assert run(folder, folder / "out")[1].done == 6


def test_processes_share_a_folder_and_a_single_one_accepts_their_work(folder, tmp_path):
    out = tmp_path / "out"
    finished = [run(folder, out, rank=r, world=2)[1] for r in (0, 1)]
    assert sum(f.labelled for f in finished) == 6
    assert sum(f.failed for f in finished) == 1
    assert run(folder, out)[1].done == 6


def test_parts_that_contradict_each_other_make_nothing_look_edited(folder, tmp_path):
    out = tmp_path / "out"
    run(folder, out)
    other = {"images": folder, "out": out, "options": dataclasses.replace(SMALL, align=None), "world": 2}
    cut_off = propagate_folder(one_by_one(), [reference()], **other, rank=0)
    next(e for e in cut_off if isinstance(e, Labelled))
    cut_off.close()  # its part still tells of the first run's results of the other process
    list(propagate_folder(predictor(), [reference()], **other, rank=1))
    assert (out / "propagation.0.json").is_file()
    finished = run(folder, out, options=dataclasses.replace(SMALL, refine=None))[1]
    assert (finished.labelled, finished.edited) == (6, 0)
    assert [path.name for path in out.glob("propagation*")] == ["propagation.json"]


def test_the_last_of_several_processes_writes_what_is_about_the_whole_folder(folder, tmp_path):
    out = tmp_path / "out"
    run(folder, out, rank=1, world=2)
    assert not (out / "contact_sheet.png").exists()
    assert not (out / "propagation.json").exists()
    run(folder, out, rank=0, world=2)
    assert (out / "contact_sheet.png").is_file()
    assert (out / "classes.json").is_file()
    noted = json.loads((out / "propagation.json").read_text())
    assert (len(noted["images"]), list(noted["failures"])) == (6, ["broken.jpg"])
    Image.fromarray(picture(64, 64)[0]).save(folder / "broken.jpg")
    for rank in (0, 1):
        run(folder, out, rank=rank, world=2)
    noted = json.loads((out / "propagation.json").read_text())
    assert (len(noted["images"]), noted["failures"]) == (7, {})


def test_the_network_always_sees_as_many_images_at_once(folder, tmp_path):
    sizes = []

    class Counting(ShiftModel):
        def correspondence(self, images):
            sizes.append(len(images))
            return super().correspondence(images)

    model = Predictor(Counting(), device="cpu", batch=4)
    list(propagate_folder(model, [reference()], folder, tmp_path / "out", options=SMALL))
    (tmp_path / "out/labels/q0.png").unlink()
    sizes = sizes[1:]  # the reference
    list(propagate_folder(model, [reference()], folder, tmp_path / "out", options=SMALL))
    assert set(sizes) - {1} == {4}
    assert sizes.count(1) == 1  # the reference again


def test_a_damaged_manifest_means_starting_over(folder, tmp_path):
    out = tmp_path / "out"
    run(folder, out)
    (out / "propagation.json").write_text('{"format": 1, "ima')
    assert run(folder, out)[1].labelled == 6


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image"):
        run(tmp_path / "empty", tmp_path / "out")
    shutil.rmtree(tmp_path / "empty")
    with pytest.raises(DataError):
        run(tmp_path / "empty", tmp_path / "out")


def test_finished_events_are_values():
    assert Finished(1, 2, 3, 4, 5.0) == Finished(1, 2, 3, 4, 5.0)


class IdentityModel:
    """Maps every pixel to its own place."""

    config = ShiftModel.config

    def correspondence(self, images):
        maps = coords.canonical_grid(32, 32)[None].repeat(len(images), 1, 1, 1)
        return SimpleNamespace(map=maps, reliability=torch.ones(len(images), 1, 32, 32), descriptors=None)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (2, 3), (700, 5)])
def test_odd_shapes_are_labelled_too(shape):
    query = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    odd = Predictor(IdentityModel(), device="cpu")
    event = list(propagate_labels(odd, [reference(64, 64)], [query], options=SMALL))[1]
    assert event.labels.shape == event.confidence.shape == shape


def test_as_many_classes_as_a_label_map_can_hold_arrive():
    labels = (np.arange(64)[:, None] // 4 * 16 + np.arange(64) // 4).astype(np.uint8)
    many = Reference(picture(64, 64)[0], labels)
    options = dataclasses.replace(SMALL, atlas=AtlasConfig(size=64, radius=3), refine=None, align=None)
    query = np.ascontiguousarray(picture(64, 64)[0][:, ::-1])
    event = list(
        propagate_labels(Predictor(IdentityModel(), device="cpu"), [many], [query], options=options)
    )[1]
    assert (event.labels == labels).mean() > 0.9
