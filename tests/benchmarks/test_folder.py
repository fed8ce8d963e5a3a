from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from coordgan_core.data.images import read_image
from coordgan_core.labels import read_label_map


def test_the_folder_is_measured_over_the_floor_of_reading_and_writing(script, capsys, tmp_path):
    folder = script("folder")
    arguments = [
        "--count",
        "2",
        "--side",
        "192",
        "--threads",
        "1",
        "--profile",
        "1",
        "--inside",
        str(tmp_path),
    ]
    assert folder.main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["images"] == 2
    assert report["program"]["processor"] > report["floor"]["processor"] > 0
    assert report["ratio"] == report["program"]["wall"] / report["floor"]["wall"]
    parts = report["milliseconds_by_part"]
    assert {"decoding", "network", "alignment and atlas", "refinement", "label PNG"} <= set(parts)
    assert all(value > 0 for value in parts.values())
    assert not list(tmp_path.iterdir())
    printed = [row.what for row in folder.rows(report)]
    assert "2 JPEGs of 0.0 megapixel" in printed[0]


def test_photographs_are_all_different_and_fit_their_label_maps(script, tmp_path):
    pictures = script("folder_pictures")
    reference = pictures.make_folder(tmp_path, 4, 160)
    images = [read_image(path) for path in sorted((tmp_path / "images").iterdir())]
    assert [image.shape for image in images] == [(160, 160, 3)] * 4
    assert len({image.tobytes() for image in images}) == 4
    truths = [read_label_map(path) for path in sorted((tmp_path / "truth").iterdir())]
    assert all(np.count_nonzero(truth) > 1000 for truth in truths)
    assert read_label_map(reference.labels).shape == read_image(reference.image).shape[:2]


def test_a_program_that_fails_is_told(script, monkeypatch, capsys):
    folder = script("folder")
    monkeypatch.setattr(folder, "_program", lambda: [sys.executable, "-c", "raise SystemExit('it broke')"])
    arguments = ["--count", "1", "--side", "64", "--threads", "1", "--profile", "0"]
    assert folder.main(arguments) == 1
    assert "it broke" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [2.0, 4.0])
def test_ratios_are_those_of_the_report(script, seconds):
    report = {
        "images": 10,
        "megapixels": 1.0,
        "kilobytes": 200.0,
        "threads": 6,
        "floor": {"wall": 2.0, "processor": 1.0},
        "program": {"wall": seconds, "processor": 3.0},
        "ratio": seconds / 2.0,
        "ratio_of_propagation": 0.5,
        "ratio_of_processor_time": 3.0,
        "images_per_second": 10 / seconds,
        "milliseconds_by_part": {"network": 1.5},
    }
    measured = [row.measured for row in script("folder").rows(report)]
    assert measured[0] == f"{seconds / 2:.2f} x the floor"
    assert measured[-1] == "1.50 ms"
