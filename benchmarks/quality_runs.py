"""The parts of `quality`: a labelled folder, speed on large photographs, and the demo."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from coordgan_core import evaluation
from coordgan_core.calibration import Calibration
from coordgan_core.data.datasets import load_dataset
from coordgan_core.data.images import read_image
from coordgan_core.data.protocols import protocol as named_protocol
from coordgan_core.devices import worker_threads
from coordgan_core.errors import DataError
from coordgan_core.flow import PEERS
from coordgan_core.folder import Finished, propagate_folder
from coordgan_core.labels import merge_classes
from coordgan_core.predictor import Predictor
from coordgan_core.propagator import PropagationOptions, Propagator, Reference, read_reference
from resources import sample_project

WAYS: dict[str, PropagationOptions] = {
    "one reference": PropagationOptions(),
    "not aligned": PropagationOptions(align=None),
    "not refined": PropagationOptions(refine=None),
    "fused": PropagationOptions(),
}
"""Ways of propagation that are measured on a labelled folder."""
MEGAPIXEL_PX = 1000

Step = evaluation.Measured | evaluation.Evaluation


def measure_folder(
    predictor: Predictor,
    folder: Path,
    *,
    protocol: str = "",
    limit: int = 0,
    layout: str = "plain",
    ways: Sequence[str] = tuple(WAYS),
    calibration: Calibration | None = None,
) -> Iterator[tuple[str, Step]]:
    """Measure propagation on a labelled folder; yields the events of `evaluate` with the way's name.

    The peers are measured beside the first way only.

    Raises:
        DataError: The folder has no labels or no ``references.txt``.
    """
    references, queries, rules = load(folder, protocol=protocol, limit=limit, layout=layout)
    for i, way in enumerate(ways):
        peers = PEERS if i == 0 else ()
        own = dataclasses.replace(rules, fuse=way == "fused", peers=peers)
        events = evaluation.evaluate(
            predictor, references, queries, own, options=WAYS[way], calibration=calibration
        )
        for event in events:
            yield way, event


def load(
    folder: Path, *, protocol: str, limit: int, layout: str = "plain"
) -> tuple[list[evaluation.LabelledImage], list[evaluation.LabelledImage], evaluation.Protocol]:
    """Return references, queries (at most ``limit``, evenly spread; 0 for all) and rules of a folder.

    Layouts other than the plain one bring their own references, queries and protocol, as published.
    """
    data = load_dataset(folder, layout)
    if data.labelled is None or not data.references:
        raise DataError(
            f"{folder} has no labels or no references.txt",
            expected="images/, labels/, classes.json and references.txt with one stem a line",
        )
    if data.protocol is not None and protocol not in ("", data.protocol.name):
        raise DataError(f"{folder} is measured by {data.protocol.name}, not by {protocol}")
    classes = data.labelled.classes
    names = tuple(classes.name(k) for k in range(classes.count))
    rules = named_protocol(protocol) if protocol else data.protocol
    table = rules.lut_for(names) if rules and not data.protocol else None  # a layout's are merged already

    def read(name: str) -> evaluation.LabelledImage:
        image, labels = data.labelled.select([name])[0].read()  # type: ignore[union-attr]
        return evaluation.LabelledImage(
            name, image, labels if table is None else merge_classes(labels, table)
        )

    rest = [name for name in data.queries or data.labelled.names if name not in data.references]
    if limit and limit < len(rest):
        rest = [rest[i * len(rest) // limit] for i in range(limit)]
    measured = evaluation.Protocol(rules.class_names if rules else names, rules.excluded if rules else ())
    return [read(name) for name in data.references], [read(name) for name in rest], measured


def labelled_sample(folder: Path, *, images: int) -> Path:
    """Write a labelled folder of the sample project's first images, the first one a reference; return it."""
    sample = sample_project()
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    chosen = sorted((sample / "images").glob("*.jpg"))[:images]
    for path in chosen:
        shutil.copyfile(path, folder / "images" / path.name)
        shutil.copyfile(sample / "truth" / f"{path.stem}.png", folder / "labels" / f"{path.stem}.png")
    shutil.copyfile(sample / "classes.json", folder / "classes.json")
    (folder / "references.txt").write_text(f"{chosen[0].stem}\n", encoding="utf-8")
    return folder


def measure_speed(predictor: Predictor, *, images: int = 24, side: int = MEGAPIXEL_PX) -> dict[str, float]:
    """Return images a second on large photographs: of the computation, and with reading and writing files.

    The photographs are those of the sample project, enlarged, with grain as cameras have it.
    """
    options = PropagationOptions(keep_raw=False)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reference, photographs = _enlarged_sample(folder / "images", images, side)
        began = time.perf_counter()
        predictor.analyse(photographs)
        network = time.perf_counter() - began
        plain = _seconds(predictor, reference, photographs, dataclasses.replace(options, align=None))
        aligned = _seconds(predictor, reference, photographs, options)
        events = propagate_folder(
            predictor,
            [reference],
            folder / "images",
            folder / "out",
            options=options,
            workers=worker_threads(),
        )
        files = next(event.seconds for event in events if isinstance(event, Finished))
    return {
        "images_per_second": images / plain,
        "images_per_second_aligned": images / aligned,
        "images_per_second_network": images / network,
        "images_per_second_with_files": images / files,
        "images": images,
        "megapixels": side * side / 1e6,
    }


def _seconds(
    predictor: Predictor, reference: Reference, photographs: Sequence[Any], options: PropagationOptions
) -> float:
    """Return the seconds from photographs in memory to label maps and confidences, in threads."""
    propagator = Propagator(predictor, [reference], options=options)
    with ThreadPoolExecutor(worker_threads()) as pool:
        list(propagator.run(photographs[:2], pool=pool))  # warms up
        began = time.perf_counter()
        for start in range(0, len(photographs), predictor.batch):
            list(propagator.run(photographs[start : start + predictor.batch], pool=pool))
        return time.perf_counter() - began


def _enlarged_sample(folder: Path, count: int, side: int) -> tuple[Reference, list[Any]]:
    """Write ``count`` large photographs into ``folder``; return a labelled one and what the files hold."""
    folder.mkdir(parents=True)
    sample = sample_project()
    label_map = sorted((sample / "labels").glob("*.png"))[0]
    small = read_reference(sample / "images" / f"{label_map.stem}.jpg", label_map)
    paths = [p for p in sorted((sample / "images").glob("*.jpg")) if p.stem != label_map.stem]
    rng = np.random.default_rng(0)
    photographs = []
    for i in range(count):
        picture = _enlarge(read_image(paths[i % len(paths)]), side)
        grain = rng.normal(0.0, 4.0, picture.shape).astype(np.float32)
        picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{i:03d}.jpg", quality=90)
        photographs.append(read_image(folder / f"{i:03d}.jpg"))
    labels = cv2.resize(small.labels, (side, side), interpolation=cv2.INTER_NEAREST)
    return Reference(_enlarge(small.image, side), labels), photographs


def _enlarge(image: Any, side: int) -> Any:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)


def measure_demo() -> dict[str, float]:
    """Return the seconds that `coordlabel demo` takes in a process of its own, and its mean IoU.

    Raises:
        DataError: It failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "app", "demo", "--out", temporary, "--no-window", "--json"]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        raise DataError(f"`coordlabel demo` ended with {done.returncode}: {reason}")
    return {"seconds": seconds, "miou": json.loads(done.stdout)["miou"]}
