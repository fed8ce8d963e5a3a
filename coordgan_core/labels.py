"""Label maps: read, write, check, merge, resize. Needs no PyTorch."""

from __future__ import annotations

import functools
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from coordgan_core.data.images import MAX_PIXELS
from coordgan_core.errors import LabelError
from coordgan_core.files import plain_file, write_bytes
from coordgan_core.label_classes import MAX_CLASSES, Palette
from coordgan_core.label_classes import LabelClass as LabelClass
from coordgan_core.label_classes import LabelClasses as LabelClasses
from coordgan_core.palette import default_palette

LabelMap = npt.NDArray[np.uint8]
# the last two only to say what is wrong
_FORMATS = ("PNG", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG", "WEBP")
_REMEDY = "save the class ids as an 8-bit palette or gray PNG, one number a pixel"


def read_label_map(path: str | Path) -> LabelMap:
    """Read a label map from a palette, gray or bilevel image; the stored numbers are the class ids.

    Returns:
        ``uint8 [H, W]``.

    Raises:
        LabelError: The file is missing, damaged, holds colours or more than 8 bits, or is lossily compressed.
    """
    path = Path(path)
    try:
        # by name: of what Pillow opens, some formats are programs that another one runs
        with Image.open(plain_file(path), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise LabelError(
                    f"the label map {path} has {image.width} x {image.height} pixels",
                    expected=f"at most {MAX_PIXELS / 1e6:.0f} million",
                    remedy="label a smaller image",
                )
            image.load()
            return _ids(image, path)
    except LabelError:
        raise
    except FileNotFoundError:
        raise LabelError(f"there is no label map {path}", remedy="give the path of an existing PNG") from None
    except Exception as error:  # Pillow's decoders fail on damaged files with a dozen unrelated types
        raise LabelError(
            f"the label map {path} cannot be read ({error})",
            expected="a complete palette or gray PNG",
            remedy="export the label map again",
        ) from error


def _ids(image: Image.Image, path: Path) -> LabelMap:
    if image.format in ("JPEG", "WEBP"):
        raise LabelError(
            f"the label map {path} is a {image.format} file, which changes class ids", remedy=_REMEDY
        )
    if image.mode == "1":
        return np.asarray(image, dtype=np.uint8)
    if image.mode == "P":
        return np.asarray(image)
    if image.mode == "L":
        return np.asarray(image) // np.uint8(_gray_step(path))
    kind = {
        "RGB": "colours",
        "RGBA": "colours with alpha",
        "LA": "gray with alpha",
        "F": "floating-point values",
    }
    found = kind.get(image.mode, "16-bit values" if image.mode.startswith("I") else f"mode {image.mode}")
    raise LabelError(
        f"the label map {path} holds {found}", expected="class ids from 0 to 255", remedy=_REMEDY
    )


def _gray_step(path: Path) -> int:
    """Return what Pillow multiplies the samples of 2- and 4-bit gray PNG files by."""
    with path.open("rb") as stream:
        head = stream.read(26)
    is_gray_png = head[:8] == b"\x89PNG\r\n\x1a\n" and head[25] == 0
    return {2: 85, 4: 17}.get(head[24], 1) if is_gray_png else 1


def write_label_map(path: str | Path, labels: LabelMap, palette: Palette | None = None) -> None:
    """Write ``labels`` (``uint8 [H, W]``) as a palette PNG, atomically; without ``palette``, the default one.

    Raises:
        LabelError: ``labels`` is not a label map.
        DiskFullError: The file cannot be written.
    """
    write_bytes(path, label_map_bytes(labels, palette))


def label_map_bytes(labels: LabelMap, palette: Palette | None = None) -> bytes:
    """Return what `write_label_map` writes.

    Raises:
        LabelError: ``labels`` is not a label map.
    """
    _check_array(labels, "the label map")
    image = Image.fromarray(np.ascontiguousarray(labels))
    colours = np.zeros((MAX_CLASSES, 3), np.uint8)
    given = default_palette(MAX_CLASSES) if palette is None else np.asarray(palette, np.uint8)[:MAX_CLASSES]
    colours[: len(given)] = given
    image.putpalette(colours.tobytes())
    return _png(image)


def write_confidence(path: str | Path, confidence: npt.NDArray[np.floating[Any]]) -> None:
    """Write a confidence (``[H, W]``, 0 to 1) as an 8-bit gray PNG, ``round(255 c)``, atomically.

    Raises:
        DiskFullError: The file cannot be written.
    """
    write_bytes(path, confidence_bytes(confidence))


def confidence_bytes(confidence: npt.NDArray[np.floating[Any]]) -> bytes:
    """Return what `write_confidence` writes."""
    import cv2  # its encoder takes one filter for all rows: a quarter of the time of trying all, and as small

    known = confidence if not np.isnan(confidence).any() else np.nan_to_num(confidence)
    values = cv2.multiply(known, 255.0, dtype=cv2.CV_8U)  # rounds, and cuts to 0 and 255
    return bytes(cv2.imencode(".png", values)[1].tobytes())


def read_confidence(path: str | Path, *, size: tuple[int, int] | None = None) -> npt.NDArray[np.float32]:
    """Read a confidence PNG that `write_confidence` made, ``float32 [H, W]`` from 0 to 1.

    Args:
        path: The file.
        size: ``(width, height)`` of the image: what a propagated folder keeps at a smaller size is enlarged.

    Raises:
        LabelError: The file is missing or damaged, or no smaller copy of an image of that size.
    """
    values = read_label_map(path)
    if size is not None and (own := (values.shape[1], values.shape[0])) != size:
        from coordgan_core.data.images import fitted, resize

        if own != fitted(size, max(own)):
            raise LabelError(
                f"the confidence {path} has {own[0]} x {own[1]} pixels, its image {size[0]} x {size[1]}",
                expected="the size of the image, or the image's shape at a smaller size",
                remedy="propagate the folder again",
            )
        values = resize(values, *size)
    return values.astype(np.float32) / 255.0


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def _check_array(labels: npt.NDArray[Any], what: str) -> None:
    if labels.ndim != 2 or labels.dtype != np.uint8 or labels.size == 0:
        raise LabelError(
            f"{what} is an array of type {labels.dtype} and shape {list(labels.shape)}",
            expected="uint8 [H, W] with at least one pixel",
            remedy="convert it with labels.astype(numpy.uint8)",
        )


def check_labels(
    labels: npt.NDArray[Any],
    *,
    image_size: tuple[int, int] | None = None,
    known_ids: Collection[int] | None = None,
    reference: bool = False,
    name: str = "",
) -> None:
    """Raise `LabelError` unless ``labels`` fits its image and its classes.

    Args:
        labels: The label map, ``uint8 [H, W]``.
        image_size: ``(width, height)`` of its image, upright, in pixels.
        known_ids: The class ids that may occur; 0 always may.
        reference: A reference must carry at least one pixel that is not background.
        name: What to call it in the message.
    """
    what = f"the label map of {name}" if name else "the label map"
    _check_array(labels, what)
    height, width = labels.shape
    if image_size is not None and (width, height) != tuple(image_size):
        raise LabelError(
            f"{what} has {width} x {height} pixels, its image {image_size[0]} x {image_size[1]}",
            expected="a label map of the size of its image (upright, after EXIF rotation)",
            remedy="pair the right files, or resize the label map without interpolation",
        )
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=MAX_CLASSES))
    if known_ids is not None:
        unknown = [int(i) for i in present if i and int(i) not in known_ids]
        if unknown:
            raise LabelError(
                f"{what} holds unknown class ids {', '.join(map(str, unknown))}",
                expected=f"ids among 0, {', '.join(str(i) for i in sorted(known_ids) if i)}",
                remedy="add the classes to classes.json, or correct the label map",
            )
    if reference and not present.any():
        raise LabelError(
            f"{what} is empty: every pixel is background",
            expected="a reference with at least one labelled part",
            remedy="label the reference first, or choose another one",
        )


def lookup_table(groups: Mapping[int, int], *, default: int | None = 0) -> npt.NDArray[np.uint8]:
    """Return the table ``uint8 [256]`` that sends class ids to merged ids.

    Args:
        groups: Old id -> new id.
        default: Where all other ids go; None keeps them.
    """
    table = (
        np.arange(MAX_CLASSES, dtype=np.uint8) if default is None else np.full(MAX_CLASSES, default, np.uint8)
    )
    for old, new in groups.items():
        table[old] = new
    return table


def merge_classes(labels: LabelMap, table: npt.NDArray[np.uint8]) -> LabelMap:
    """Apply a `lookup_table` to a label map ``uint8 [H, W]``."""
    return table[labels]


def resize_soft(
    labels: LabelMap, width: int, height: int, *, classes: Sequence[int] | None = None
) -> npt.NDArray[np.float32]:
    """Resize a label map to soft labels: the share of each class in every new pixel.

    Each axis averages over the area of the new pixel when it shrinks and interpolates linearly between pixel
    centres when it grows.

    Args:
        labels: ``uint8 [H, W]``.
        width: New width in pixels.
        height: New height in pixels.
        classes: Ids of the channels; all from 0 to the largest one present by default.

    Returns:
        ``float32 [len(classes), height, width]``; sums to 1 over the classes where they are all listed.
    """
    if classes is None:
        classes = range(int(labels.max()) + 1)
    rows, columns = _weights(labels.shape[0], height), _weights(labels.shape[1], width).T
    soft = np.zeros((len(classes), height, width), np.float32)
    present = np.bincount(labels.ravel(), minlength=MAX_CLASSES) > 0
    for channel, class_id in enumerate(classes):
        if present[class_id]:
            mask = (labels == class_id).astype(np.float32)
            # the cheaper order of the two products
            soft[channel] = (rows @ mask) @ columns if height <= labels.shape[0] else rows @ (mask @ columns)
    return soft


def resize_labels(labels: LabelMap, width: int, height: int) -> LabelMap:
    """Resize a label map to ``uint8 [height, width]``: the class with the largest share wins."""
    if labels.shape == (height, width):
        return labels.copy()
    best = np.full((height, width), -1.0, np.float32)
    resized = np.zeros((height, width), np.uint8)
    for class_id in np.flatnonzero(np.bincount(labels.ravel(), minlength=MAX_CLASSES)):
        share = resize_soft(labels, width, height, classes=[int(class_id)])[0]
        better = share > best
        resized[better] = class_id
        np.maximum(best, share, out=best)
    return resized


@functools.lru_cache(maxsize=8)
def _weights(before: int, after: int) -> npt.NDArray[np.float32]:
    """Return one axis' matrix ``[after, before]``: area overlap when shrinking, else linear interpolation."""
    if after < before:
        edges = np.linspace(0.0, before, after + 1)
        starts = np.arange(before)
        low = np.maximum(edges[:-1, None], starts)
        high = np.minimum(edges[1:, None], starts + 1)
        return np.asarray(np.maximum(high - low, 0.0) * (after / before), np.float32)
    position = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(before))), np.float32)
