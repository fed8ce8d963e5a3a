"""Which images of a folder have a label map in another one. Loads no PyTorch."""

from __future__ import annotations

from pathlib import Path

from coordgan_core.data.images import list_images
from coordgan_core.errors import DataError


def all_pairs(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Return all images of a folder that have a label map, with it.

    The label map of ``images/a/b.jpg`` is ``labels/a/b.png``, ``labels/a/b.jpg.png`` (as projects keep
    them), or else ``labels/b.png``.

    Raises:
        DataError: No image has one.
    """
    pairs = []
    for image in list_images(images):
        name = image.relative_to(images)
        places = (name.with_suffix(".png"), name.with_name(name.name + ".png"), Path(f"{name.stem}.png"))
        found = [labels / place for place in places if (labels / place).is_file()]
        pairs += [(image, found[0])] if found else []
    if not pairs:
        raise DataError(
            f"0 images of {images} have a label map in {labels}",
            expected="at least one, named like its image with the ending .png",
            remedy="check the names, or train without label maps",
        )
    return pairs
