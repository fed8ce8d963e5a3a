"""Models side by side on one reviewed set: the same references, carried to the same queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coordgan_core import evaluation
from coordgan_core.data.images import read_image
from coordgan_core.data.pairs import all_pairs
from coordgan_core.errors import CoordError, DataError
from coordgan_core.labels import LabelClasses, check_labels, read_label_map
from coordgan_core.predictor import Predictor
from coordgan_core.reports import ComparedModel, Comparison
from coordgan_core.snapshot import load_calibration, load_model


@dataclass(frozen=True)
class Comparing:
    """So many steps of the comparison are done."""

    done: int
    total: int
    what: str


def compare(
    models: Sequence[Path],
    images: Path,
    labels: Path,
    references: Sequence[str],
    *,
    classes: LabelClasses | None = None,
    device: str = "auto",
) -> Iterator[Comparing | Comparison]:
    """Measure models on one set; yield progress, and the comparison last.

    Args:
        models: Model files.
        images: Folder of the images.
        labels: Folder of label maps of some of them, all finished by a person.
        references: Images that labels are carried from, by path relative to ``images`` or by stem; all other
            labelled ones are the queries.
        classes: Names of the classes.
        device: Where the models run.

    Raises:
        DataError: A reference has no label map, or no query is left.
        ModelError: A file is no model.
    """
    given, queries = _read(images, labels, references)
    count = 1 + max(int(item.labels.max()) for item in [*given, *queries])
    names = tuple(_name(classes, k) for k in range(count))
    rules = evaluation.Protocol(names)
    total = len(models) * len(given)
    found = []
    for index, path in enumerate(models):
        yield Comparing(index * len(given), total, path.stem)
        predictor = Predictor(load_model(path), device=device)
        for event in evaluation.evaluate(
            predictor, given, queries, rules, calibration=load_calibration(path)
        ):
            if isinstance(event, evaluation.Evaluation):
                found.append(_compared(path, event))
            else:
                yield Comparing(index * len(given) + event.done, total, f"{path.stem}: {event.what}")
    yield Comparison(tuple(item.name for item in given), len(queries), tuple(found))


def _name(classes: LabelClasses | None, class_id: int) -> str:
    try:
        return classes.name(class_id) if classes is not None else _plain(class_id)
    except (CoordError, KeyError):
        return _plain(class_id)


def _plain(class_id: int) -> str:
    return f"class {class_id}" if class_id else "background"


def _compared(path: Path, result: evaluation.Evaluation) -> ComparedModel:
    return ComparedModel(
        str(path),
        path.stem,
        result.miou,
        result.foreground_iou,
        result.ece,
        result.images_per_second,
        result.per_class,
    )


def _read(
    images: Path, labels: Path, references: Sequence[str]
) -> tuple[list[evaluation.LabelledImage], list[evaluation.LabelledImage]]:
    pairs = {image.relative_to(images).as_posix(): (image, path) for image, path in all_pairs(images, labels)}
    chosen = []
    for text in references:
        fitting = [name for name in pairs if text in (name, Path(name).stem)]
        if not fitting:
            raise DataError(
                f"the reference {text!r} has no image or no label map",
                expected=f"one of the labelled images of {images}",
                remedy="check its name",
            )
        chosen.append(fitting[0])
    rest = [name for name in pairs if name not in chosen]
    if not chosen or not rest:
        raise DataError(
            f"{len(chosen)} references and {len(rest)} queries are left",
            expected="at least one of each",
            remedy="review some more images, or name fewer references",
        )
    return [_labelled(name, *pairs[name]) for name in chosen], [_labelled(n, *pairs[n]) for n in rest]


def _labelled(name: str, image: Path, labels: Path) -> evaluation.LabelledImage:
    pixels, ids = read_image(image), read_label_map(labels)
    check_labels(ids, image_size=(pixels.shape[1], pixels.shape[0]), name=name)
    return evaluation.LabelledImage(name, pixels, ids)
