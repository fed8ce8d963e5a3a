"""Label Studio: one JSON of tasks; people's label maps are annotations, those of models predictions."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.formats import brush, json_files
from app.domain.formats.base import (
    CLASSES_FILE,
    NO_IMAGES,
    BaseFormat,
    Choice,
    ExportItem,
    ExportOptions,
    Extras,
    ImportItem,
    KnownImages,
    Source,
    Written,
    copy_image,
)
from app.domain.formats.class_list import class_names, number_labels, write_classes
from app.domain.formats.label_studio_read import label_of, labels_of_config, paint_results
from app.domain.palette import hex_color
from coordgan_core.errors import LabelError
from coordgan_core.files import write_bytes

TASKS_FILE = "label_studio.json"
CONFIG_FILE = "labeling_config.xml"
IMAGES_FOLDER = "images"
LOCAL_FILES = "/data/local-files/?d="

KIND = Choice(
    "as",
    "Label maps become",
    {
        "origin": "Predictions of models, annotations of people",
        "annotations": "Annotations",
        "predictions": "Predictions",
    },
)
_FROM, _TO = "label", "image"
_MODEL = "CoordLabel"
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


class LabelStudio(BaseFormat):
    """The JSON of Label Studio, with brushes."""

    name = "label-studio"
    title = "Label Studio"
    suffix = ".json"
    extras_of = "label-studio"
    choices = (KIND,)
    common = (TASKS_FILE, CONFIG_FILE, CLASSES_FILE)

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what of these classes the format cannot hold."""
        del table, options
        return ["class ids are in classes.json; Label Studio itself knows names, their order and colours"]

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1."""
        return max((_likeness(file) for file in json_files.json_files(path)), default=0.0)

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Read the tasks at ``path`` and list them, without decoding brushes.

        The last annotation of a task that was not cancelled counts, without one the prediction of the best
        score.

        Raises:
            LabelError: There are no tasks, or the file is damaged.
        """
        root = path if path.is_dir() else path.parent
        files = [f for f in json_files.json_files(path) if path.is_file() or _likeness(f)]
        tasks = [(f"{f.name}, task {n}", task) for f in files for n, task in enumerate(_tasks(f), 1)]
        if not tasks:
            raise LabelError(
                f"{path} holds no tasks of Label Studio",
                expected="a JSON list of tasks with annotations or predictions",
                remedy="export the project as JSON, and choose that file",
            )
        results = [(where, task, chosen_results(task, where)) for where, task in tasks]
        chosen = [(where, task, found) for where, task, found in results if found is not None]
        listed = labels_of_config(root / CONFIG_FILE)
        labels = dict.fromkeys([*listed, *(label_of(r) for _, _, found in chosen for r in found)])
        known = {i: name for i, name in class_names(root).items() if i}
        names, warnings = number_labels([label for label in labels if label], known, self.title)
        ids = {name: number for number, name in names.items()}
        items = [_item(where, task, found, ids, images) for where, task, found in chosen]
        colors = {ids[label]: color for label, color in listed.items() if color and label in ids}
        return Source(tuple(items), names, tuple(warnings), colors)

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image."""
        return (f"{IMAGES_FOLDER}/{item.path}",) if options.copy_images else ()

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Add tasks one by one to a list on disk; the JSON, the configuration and the classes come last."""
        with json_files.spools(out, 1) as (tasks,):
            for item in items:
                files = self.image_files(item, options)
                for file in files:
                    copy_image(item, out / file)
                url = LOCAL_FILES + quote(files[0] if files else item.path)
                tasks.add(_task(item, tasks.count + 1, url, table, KIND.of(options)))
                yield Written(item, files)
            json_files.write_list(out / TASKS_FILE, tasks)
        write_bytes(out / CONFIG_FILE, _config(table).encode())
        write_classes(out, table)


def _task(item: ExportItem, number: int, url: str, table: ClassTable, kind: str) -> dict[str, Any]:
    labels = item.load()
    kept = dict(item.extras())
    results = list(_results(item, labels, table))
    is_prediction = kind == "predictions" or (kind == "origin" and item.score is not None)
    score = None if item.score is None else round(item.score, 6)
    annotation = {"was_cancelled": False, "ground_truth": False, "result": results}
    prediction = {"model_version": _MODEL, "score": score, "result": results}
    return {
        "id": number,
        **kept,
        "data": {"image": url} | kept.get("data", {}) | {"width": labels.shape[1], "height": labels.shape[0]},
        "annotations": [] if is_prediction else [annotation],
        "predictions": [prediction] if is_prediction else [],
    }


def _results(item: ExportItem, labels: LabelMap, table: ClassTable) -> Iterator[dict[str, Any]]:
    present = {int(i) for i in np.flatnonzero(np.bincount(labels.ravel())) if i}
    named = {c.id: c.name for c in table.classes if c.id in present}
    for class_id in [*named, *sorted(present - set(named))]:
        name = named.get(class_id, f"class {class_id}")
        yield {
            "id": hashlib.sha256(f"{item.path}/{class_id}".encode()).hexdigest()[:10],
            "type": "brushlabels",
            "from_name": _FROM,
            "to_name": _TO,
            "original_width": int(labels.shape[1]),
            "original_height": int(labels.shape[0]),
            "image_rotation": 0,
            "value": {"format": "rle", "rle": brush.encode(labels == class_id), "brushlabels": [name]},
        }


def _config(table: ClassTable) -> str:
    lines = [
        f"    <Label value={quoteattr(c.name)} background={quoteattr(hex_color(c.color))}/>\n"
        for c in table.classes[1:]
    ]
    return (
        f'<View>\n  <Image name="{_TO}" value="$image" zoom="true"/>\n'
        f'  <BrushLabels name="{_FROM}" toName="{_TO}">\n{"".join(lines)}  </BrushLabels>\n</View>\n'
    )


def _likeness(file: Path) -> float:
    text = json_files.sniff(file)
    if not re.search(r'"(annotations|predictions|completions)"\s*:\s*\[', text) or '"data"' not in text:
        return 0.0
    return 0.95 if '"from_name"' in text else 0.5 if '"images"' not in text else 0.0


def _tasks(file: Path) -> list[Any]:
    content = json_files.load(file)
    return content if isinstance(content, list) else [content]


def chosen_results(task: Any, where: str) -> list[Any] | None:
    """Return the results of a task that count, None if nobody has worked on it.

    Raises:
        LabelError: The task is no task.
    """
    json_files.member(task, "data", dict, where)
    annotations = task.get("annotations") or task.get("completions") or []
    predictions = task.get("predictions") or []
    if not all(isinstance(each, list) for each in (annotations, predictions)):
        raise LabelError(f"{where} holds no lists of annotations", remedy="export the project as JSON again")
    made = [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")]
    guessed = [p for p in predictions if isinstance(p, dict)]
    if made:
        best = made[-1]
    elif guessed:
        best = max(guessed, key=lambda p: s if isinstance(s := p.get("score"), int | float) else 0.0)
    else:
        return None
    return list(json_files.member(best, "result", list, where))


def _item(
    where: str, task: Mapping[str, Any], results: list[Any], ids: Mapping[str, int], images: KnownImages
) -> ImportItem:
    name = image_name(task["data"])
    key = str(PurePosixPath(name).with_suffix("")) if name else where

    def size() -> tuple[int, int] | None:
        if {"width", "height"} <= set(task["data"]):
            height, width = json_files.image_shape(task["data"], "width", "height", where)
            return width, height
        return images.size(name)

    load = functools.partial(paint_results, results, ids, f"{where}, {name}", size)
    return ImportItem(key, load, name, functools.partial(_kept, task))


def _kept(task: Mapping[str, Any]) -> Extras:
    own = {"annotations", "predictions", "completions", "drafts"}
    return {key: value for key, value in task.items() if key not in own and not key.startswith("total_")}


def image_name(data: Mapping[str, Any]) -> str:
    """Return the relative name of the image of a task, empty if it names none."""
    url = data.get(_TO) or next((v for v in data.values() if isinstance(v, str)), "")
    if not isinstance(url, str):
        return ""
    try:
        parts = urlsplit(url) if "://" in url or url.startswith("/data/") else None
    except ValueError:  # brackets that are no address: a name as any other
        parts = None
    if parts is None:
        return json_files.clean_name(url)
    local = parse_qs(parts.query).get("d")
    name = local[0] if local else unquote(parts.path)
    if not local:
        name = PurePosixPath(name).name
    return json_files.clean_name(_UPLOADED.sub("", name) if "/upload/" in parts.path else name)
