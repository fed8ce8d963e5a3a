from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_losses_are_found_where_there_are_some(script, tmp_path):
    formats = script("formats")
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    labels = np.zeros((20, 20), np.uint8)
    labels[:10, :10], labels[2:7, 2:7] = 1, 0
    Image.fromarray(labels).save(tmp_path / "labels/a.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "images/a.png")
    (tmp_path / "classes.json").write_text(json.dumps(["background", "part"]))
    trips = {t.format: t for t in formats.round_trips(tmp_path, ["cvat-images", "yolo-seg"], 0)}
    assert set(trips) == {
        "cvat-images",
        "cvat-images shape=polygon",
        "yolo-seg",
        "yolo-seg holes=fill",
    }
    assert {name: trip.mean_iou for name, trip in trips.items()} == {
        "cvat-images": 1.0,
        "cvat-images shape=polygon": 1.0,
        "yolo-seg": 1.0,
        "yolo-seg holes=fill": 0.75,
    }
    assert trips["yolo-seg holes=fill"].same_pixels == 1 - 25 / 400
    assert trips["yolo-seg"].border_iou > 0.9
    assert trips["cvat-images"].border_iou is None


def test_memory_is_measured_while_images_are_written():
    # In a process of its own: the peak of this one may stem from other tests.
    command = [sys.executable, str(FOLDER / "formats.py"), "--export", "60", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)["export"]
    assert figures["written, MB"] > 0.05
    assert 0.0 < figures["peak after all, growth in MB"] < 50
