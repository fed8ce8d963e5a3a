"""Images with label maps in index PNGs, in one mask a part, or in numpy arrays. Loads no PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from coordgan_core.data.images import list_images, read_image, resize
from coordgan_core.errors import DataError, LabelError
from coordgan_core.labels import LabelClasses, LabelMap, check_labels, merge_classes, read_label_map

_LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")


class LabelSource(Interface):
    """Something a label map can be read from."""

    def read(self) -> LabelMap:
        """Return the label map, ``uint8 [H, W]``."""


@dataclass(frozen=True)
class IndexMap:
    """A palette or gray image whose values are class ids, perhaps merged by a table ``uint8 [256]``."""

    path: Path
    table: tuple[int, ...] | None = None

    def read(self) -> LabelMap:
        """Return the label map.

        Raises:
            LabelError: The file is not a label map.
        """
        labels = read_label_map(self.path)
        return labels if self.table is None else merge_classes(labels, np.array(self.table, np.uint8))


@dataclass(frozen=True)
class PartMasks:
    """One black and white image a part: (file, class id), painted in this order."""

    masks: tuple[tuple[Path, int], ...]

    def read(self) -> LabelMap:
        """Return the label map.

        Raises:
            LabelError: A mask cannot be read or differs in size.
        """
        labels: LabelMap | None = None
        for path, class_id in self.masks:
            mask = _read_mask(path)
            if labels is None:
                labels = np.zeros(mask.shape, np.uint8)
            if mask.shape != labels.shape:
                raise LabelError(
                    f"the part mask {path} has {mask.shape[1]} x {mask.shape[0]} pixels",
                    expected=f"{labels.shape[1]} x {labels.shape[0]}, as the other parts of this image",
                )
            labels[mask] = class_id
        if labels is None:
            raise LabelError("an image has no part masks", expected="at least one")
        return labels


@dataclass(frozen=True)
class ArrayMask:
    """A ``.npy`` file of class ids, ``[H, W]`` or with extra axes of length one."""

    path: Path

    def read(self) -> LabelMap:
        """Return the label map.

        Raises:
            LabelError: The file is damaged, or its values are not class ids from 0 to 255.
        """
        try:
            values = np.squeeze(np.load(self.path, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise LabelError(
                f"the mask {self.path} cannot be read ({error})", expected="a .npy array of class ids"
            ) from error
        ids = np.rint(values).astype(np.int64) if values.dtype.kind in "buif" else None
        if ids is None or ids.ndim != 2 or ids.size == 0 or ids.min() < 0 or ids.max() > 255:
            raise LabelError(
                f"the mask {self.path} is an array of {values.dtype} {list(values.shape)}",
                expected="class ids from 0 to 255, [H, W]",
            )
        labels: LabelMap = ids.astype(np.uint8)
        return labels


def _read_mask(path: Path) -> NDArray[np.bool_]:
    try:
        with Image.open(path) as image:
            mask: NDArray[np.bool_] = np.asarray(image.convert("L")) > 127
    except (OSError, SyntaxError, ValueError) as error:
        raise LabelError(
            f"the part mask {path} cannot be read ({error})", remedy="unpack the data set again"
        ) from error
    return mask


@dataclass(frozen=True)
class LabelledImage:
    """An image and where its label map is.

    Args:
        name: Its name in lists of references.
        image: The picture.
        labels: Where its label map is read from.
        fit: Whether the image is resized to its label map where the two differ in size and not in shape;
            otherwise that is an error.
    """

    name: str
    image: Path
    labels: LabelSource
    fit: bool = False

    def read(self) -> tuple[NDArray[np.uint8], LabelMap]:
        """Return the image ``uint8 [H, W, 3]`` and its label map ``uint8 [H, W]``.

        Raises:
            ImageError: The image cannot be read.
            LabelError: The label map cannot be read or does not fit the image.
        """
        pixels, labels = read_image(self.image), self.labels.read()
        height, width = labels.shape
        if self.fit and abs(pixels.shape[1] / pixels.shape[0] - width / height) < 0.01 * width / height:
            pixels = resize(pixels, width, height)
        check_labels(labels, image_size=(pixels.shape[1], pixels.shape[0]), name=self.image.name)
        return pixels, labels


class LabelledSubset:
    """A list of labelled images with one set of classes.

    Args:
        items: The images, in the order that indices refer to.
        classes: Their label classes.

    Raises:
        DataError: Two images have the same name.
    """

    def __init__(self, items: Iterable[LabelledImage], classes: LabelClasses) -> None:
        self.items = tuple(items)
        self.classes = classes
        self._by_name = {item.name: item for item in self.items}
        if len(self._by_name) != len(self.items):
            raise DataError(
                "two labelled images have the same name",
                expected="every stem once",
                remedy="rename one of them, together with its label map",
            )

    @classmethod
    def from_folders(
        cls, images: Path, labels: Path, *, classes: LabelClasses | None = None
    ) -> LabelledSubset:
        """Pair images and label maps by their path without the ending; images without one are passed over.

        Args:
            images: Folder of images, with sub-folders.
            labels: Folder of palette or index images, with the same sub-folders.
            classes: The label classes; by default made up from the ids of the first label map.

        Raises:
            DataError: A folder is not there, or no image has a label map.
            LabelError: The first label map cannot be read.
        """
        items = []
        for path in list_images(images):
            name = path.relative_to(images).with_suffix("")
            found = next(
                (
                    labels / name.with_suffix(s)
                    for s in _LABEL_SUFFIXES
                    if (labels / name.with_suffix(s)).is_file()
                ),
                None,
            )
            if found is not None:
                items.append(LabelledImage(name.as_posix(), path, IndexMap(found)))
        if not items:
            raise DataError(
                f"no image of {images} has a label map in {labels}",
                expected="label maps named like their images: photo.jpg and photo.png",
                remedy="check both folders",
            )
        if classes is None:
            classes = LabelClasses.anonymous(int(i) for i in np.unique(items[0].labels.read()))
        return cls(items, classes)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[LabelledImage]:
        return iter(self.items)

    def __getitem__(self, index: int) -> LabelledImage:
        return self.items[index]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all images, in order."""
        return tuple(item.name for item in self.items)

    def select(self, names: Sequence[str]) -> LabelledSubset:
        """Return the images of these names, in this order.

        Raises:
            DataError: One of them is not there.
        """
        missing = [name for name in names if name not in self._by_name]
        if missing:
            raise DataError(
                f"there is no labelled image called {', '.join(missing)}",
                expected="names without their ending, such as " + ", ".join(self.names[:3]),
                remedy="correct the list of references",
            )
        return LabelledSubset([self._by_name[name] for name in names], self.classes)
