"""The folder layouts of public data sets, and the plain one of our own. Loads no PyTorch.

Nothing is downloaded; each function takes the folder into which a data set was unpacked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from coordgan_core.data.images import Box, list_images, natural_key
from coordgan_core.data.labelled import ArrayMask, IndexMap, LabelledImage, LabelledSubset, PartMasks
from coordgan_core.data.protocols import CELEBAMASK_CLASSES, PROTOCOLS, Protocol
from coordgan_core.errors import DataError
from coordgan_core.labels import LabelClasses


@dataclass(frozen=True)
class Dataset:
    """A data set on disk.

    Attributes:
        name: What it is called.
        images: Pictures to train on.
        boxes: What to cut out of each picture, in pixels; empty for nothing.
        labelled: Pictures with label maps; None where there are none.
        references: Names of the references of the benchmark, each propagated alone.
        queries: Names of its queries; empty for all labelled pictures that are not references.
        protocol: How its classes are merged for measuring; None for not at all.
        mirror: Whether it stays itself when pictures are flipped (no parts named left and right).
    """

    name: str
    images: tuple[Path, ...]
    boxes: tuple[Box, ...] = ()
    labelled: LabelledSubset | None = None
    references: tuple[str, ...] = ()
    queries: tuple[str, ...] = field(default=())
    protocol: Protocol | None = None
    mirror: bool = True


def load_plain(root: Path) -> Dataset:
    """Load ``images/``, ``labels/`` (same stems), ``classes.json``, ``references.txt``, ``unlabelled/``.

    All but ``images/`` may be absent. Training uses ``unlabelled/`` where it is there, else ``images/``.

    Raises:
        DataError: ``images/`` is not there, or ``references.txt`` names an unknown image.
        LabelError: ``classes.json`` is malformed.
    """
    images = _folder(root, "images")
    unlabelled = root / "unlabelled"
    names = root / "classes.json"
    classes = LabelClasses.load(names) if names.is_file() else None
    labelled = None
    if (root / "labels").is_dir():
        labelled = LabelledSubset.from_folders(images, root / "labels", classes=classes)
    listed = root / "references.txt"
    references = tuple(listed.read_text(encoding="utf-8").split()) if listed.is_file() else ()
    if labelled is not None:
        labelled.select(references)
    return Dataset(
        name=root.name,
        images=tuple(list_images(unlabelled if unlabelled.is_dir() else images)),
        labelled=labelled,
        references=references,
        mirror=not any(names_a_side(c.name) for c in (classes.classes if classes else ())),
    )


def names_a_side(name: str) -> bool:
    """Tell whether a class name says left or right: such classes change places when a picture is flipped."""
    return re.search(r"(^|[\s_-])(l|r|left|right|imgleft|imgright)([\s_-]|$)", name.lower()) is not None


def load_celebamask(root: Path, *, protocol: Protocol | None = PROTOCOLS["celebamask-7"]) -> Dataset:
    """Load CelebAMask-HQ: ``CelebA-HQ-img/0.jpg`` with part masks or index maps.

    Part masks are ``CelebAMask-HQ-mask-anno/<n>/00000_skin.png``; merged index maps (19 class ids) are
    ``CelebAMaskHQ-mask/0.png``. With a protocol, parts are painted in its order and nothing else is; without,
    all 18 in the order of the data set. References and queries are those of the published evaluation, which
    sorts file names as strings (fact sheet section 5).

    Raises:
        DataError: The folder of images, or both kinds of masks, are not there.
    """
    images = _folder(root, "CelebA-HQ-img")
    files = {path.stem: path for path in list_images(images, recursive=False)}
    order = protocol.parts if protocol else tuple((n, i) for i, n in enumerate(CELEBAMASK_CLASSES) if i)
    masks = root / "CelebAMask-HQ-mask-anno"
    index_maps = next((root / n for n in ("CelebAMaskHQ-mask", "mask") if (root / n).is_dir()), None)
    if masks.is_dir():
        found = _part_masks(masks)
        items = [
            LabelledImage(name, files[name], PartMasks(_in_order(found[int(name)], order)), fit=True)
            for name in sorted(files)
            if name.isdecimal() and int(name) in found
        ]
    elif index_maps is not None:
        table = tuple(protocol.lut.tolist()) if protocol else None
        items = [
            LabelledImage(name, files[name], IndexMap(index_maps / f"{name}.png", table), fit=True)
            for name in sorted(files)
            if (index_maps / f"{name}.png").is_file()
        ]
    else:
        raise _missing(root, "CelebAMask-HQ-mask-anno")
    classes = protocol.classes if protocol else LabelClasses.from_names(CELEBAMASK_CLASSES)
    names = sorted(files)
    labelled = LabelledSubset(items, classes)
    known = set(labelled.names)
    return Dataset(
        name="celebamask-hq",
        images=tuple(files.values()),
        labelled=labelled,
        references=tuple(names[i] for i in (1, 3, 5, 6, 8) if i < len(names) and names[i] in known),
        queries=tuple(name for name in names[100:200] if name in known),
        protocol=protocol,
        mirror=protocol is not None,
    )


def _part_masks(folder: Path) -> dict[int, dict[str, Path]]:
    """Return the part masks of every image by part name, reading folder listings only (400,000 files)."""
    found: dict[int, dict[str, Path]] = {}
    pattern = re.compile(r"([0-9]+)_([a-z_]+)\.png")
    for current, _, names in os.walk(folder):
        for name in names:
            match = pattern.fullmatch(name)
            if match:
                found.setdefault(int(match[1]), {})[match[2]] = Path(current, name)
    return found


def _in_order(masks: dict[str, Path], order: Iterable[tuple[str, int]]) -> tuple[tuple[Path, int], ...]:
    painted = tuple((masks[part], class_id) for part, class_id in order if part in masks)
    # a picture without any of the parts still has a size: its first mask, painted as background
    return painted or tuple((path, 0) for path in list(masks.values())[:1])


def load_afhq(root: Path, *, animal: str = "cat", split: str = "train") -> Dataset:
    """Load AFHQ: ``train/cat/*.jpg`` and so on; it has no labels.

    Raises:
        DataError: The folder of that animal and split is not there.
    """
    return Dataset(f"afhq-{animal}", tuple(list_images(_folder(root, f"{split}/{animal}"))))


def load_stanford_cars(root: Path, *, split: str = "train", crop: bool = True) -> Dataset:
    """Load Stanford Cars: ``cars_train/00001.jpg``, boxes from ``devkit/cars_train_annos.mat``.

    Args:
        root: Where it was unpacked.
        split: ``"train"`` or ``"test"``.
        crop: Whether to give the cars' boxes; without them pictures are used whole, as published.

    Raises:
        DataError: The pictures, or with ``crop`` the annotations, are not there.
    """
    paths = list_images(_folder(root, f"cars_{split}"), recursive=False)
    if not crop:
        return Dataset("stanford-cars", tuple(paths))
    boxes = _car_boxes(root, f"cars_{split}_annos.mat")
    kept = [path for path in paths if path.name in boxes]
    return Dataset("stanford-cars", tuple(kept), tuple(boxes[path.name] for path in kept))


def _car_boxes(root: Path, name: str) -> dict[str, Box]:
    from scipy.io import loadmat

    path = next((p for p in (root / "devkit" / name, root / name) if p.is_file()), None)
    if path is None:
        raise _missing(root, f"devkit/{name}")
    boxes: dict[str, Box] = {}
    for car in loadmat(path, squeeze_me=True)["annotations"].reshape(-1):
        left, top, right, bottom = (int(car[f"bbox_{side}"]) for side in ("x1", "y1", "x2", "y2"))
        boxes[str(car["fname"])] = (left - 1, top - 1, right, bottom)  # the file counts from 1, ends included
    return boxes


def load_datasetgan(root: Path, *, protocol: Protocol) -> Dataset:
    """Load an annotated set of DatasetGAN (Face-34, Car-20): ``image_0.png`` with ``image_mask0.npy``.

    Pictures and masks are paired by their number, in one folder each; ``root`` may have sub-folders such as
    ``training_data`` and ``testing_data``. References are the first five pictures of the first folder.

    Raises:
        DataError: There is no picture with a mask.
    """
    items = []
    for path in sorted(list_images(root), key=lambda p: (p.parent.as_posix(), p.name)):
        mask = _numbered_mask(path)
        if mask is not None:
            name = path.relative_to(root).with_suffix("").as_posix()
            items.append(LabelledImage(name, path, ArrayMask(mask), fit=True))
    if not items:
        raise _missing(root, "image_0.png with image_mask0.npy")
    folders = sorted({item.image.parent for item in items}, key=lambda p: ("test" in p.name, p.as_posix()))
    first = [item.name for item in items if item.image.parent == folders[0]]
    return Dataset(
        name=protocol.name,
        images=tuple(item.image for item in items),
        labelled=LabelledSubset(items, protocol.classes),
        references=tuple(first[:5]),
        protocol=protocol,
    )


def _numbered_mask(image: Path) -> Path | None:
    match = re.fullmatch(r"image_?([0-9]+)", image.stem)
    if match is None:
        return None
    number = match[1]
    names = (f"image_mask{number}.npy", f"image_mask_{number}.npy", f"image_{number}.npy", f"{number}.npy")
    return next((image.with_name(name) for name in names if image.with_name(name).is_file()), None)


LAYOUTS: dict[str, Callable[[Path], Dataset]] = {
    "plain": load_plain,
    "celebamask": load_celebamask,
    "afhq": load_afhq,
    "stanford-cars": load_stanford_cars,
    "datasetgan-face-34": lambda root: load_datasetgan(root, protocol=PROTOCOLS["datasetgan-face-34"]),
    "datasetgan-car-20": lambda root: load_datasetgan(root, protocol=PROTOCOLS["datasetgan-car-20"]),
}
"""Loader of each layout with its usual options."""


def detect_layout(root: Path) -> str | None:
    """Return the name of the layout that ``root`` shows, None for a mere folder of images.

    DatasetGAN's sets cannot be told apart by their files and are never returned.
    """
    signs = {
        "celebamask": "CelebA-HQ-img",
        "stanford-cars": "cars_train",
        "plain": "images",
    }
    for name, sign in signs.items():
        if (root / sign).is_dir():
            return name
    animals = ("cat", "dog", "wild")
    return "afhq" if any((root / "train" / animal).is_dir() for animal in animals) else None


def load_dataset(root: Path, layout: str | None = None) -> Dataset:
    """Load a data set of a named or recognised layout; any other folder counts as mere images.

    Raises:
        DataError: The folder lacks what its layout needs, or there is no such layout.
    """
    layout = layout or detect_layout(root)
    if layout is None:
        return Dataset(root.name, tuple(sorted(list_images(root), key=lambda p: natural_key(p.as_posix()))))
    if layout not in LAYOUTS:
        raise DataError(f"there is no layout {layout!r}", expected=f"one of {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](root)


def _folder(root: Path, name: str) -> Path:
    folder = root.joinpath(*name.split("/"))
    if not folder.is_dir():
        raise _missing(root, name)
    return folder


def _missing(root: Path, name: str) -> DataError:
    return DataError(
        f"{root} holds no {name}",
        expected="the folder into which the data set was unpacked",
        remedy="choose the folder that contains it",
    )
