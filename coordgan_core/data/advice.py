"""Plain sentences about a folder of images: what to do before training on it. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence

from coordgan_core.reports import Advice, Level

FEW_IMAGES, MANY_IMAGES = 100, 2000
_ORDER: tuple[Level, ...] = ("error", "warning", "hint", "good")


def best_preset(images: int, *, gpu: bool = False) -> str:
    """Return the preset that fits so many different images, with a graphics card or without."""
    return "fast-128" if gpu and images >= MANY_IMAGES else "quick-64"


def explain_alignment(figure: float | None) -> str:
    """Return what the alignment figure says, in a sentence."""
    from coordgan_core.data.alignment import verdict

    if figure is None:
        return "Two readable images are needed to say how alike they are laid out."
    said = {
        "well": "the same things lie in the same place in most images; models learn fastest from such images",
        "roughly": "things lie in roughly the same place; training works, and cropping alike would help",
        "hardly": "things lie in different places and sizes; crop the images alike before training",
    }
    return (
        f"The layouts of two images correlate by {figure:.2f} on average (0: nothing in common): "
        + said[verdict(figure)]
    )


def advise(
    distinct: int,
    unreadable: int,
    duplicates: Sequence[Sequence[str]],
    figure: float | None,
    smallest: tuple[int, int] | None,
    *,
    resolution: int,
    least: int,
) -> tuple[Advice, ...]:
    """Return sentences, the most important first.

    Args:
        distinct: Readable images, duplicates counted once.
        unreadable: Files that cannot be read.
        duplicates: Groups of files that look the same.
        figure: The alignment.
        smallest: Width and height of the smallest image.
        resolution: Side of what the networks will see, in pixels.
        least: Fewer images than these cannot be trained on.
    """
    found = [_about_count(distinct, least)]
    if unreadable:
        found.append(Advice("warning", f"{_files(unreadable)} cannot be read and will be left out"))
    extra = sum(len(group) - 1 for group in duplicates)
    if extra:
        looks = "looks" if extra == 1 else "look"
        text = f"{_files(extra)} {looks} like others in the folder: a model learns nothing more from them"
        found.append(Advice("hint", text))
    if figure is not None and distinct >= least:
        found += _about_alignment(figure)
    if smallest is not None and min(smallest) < resolution:
        text = (
            f"the smallest image has {smallest[0]} x {smallest[1]} pixels, less than the model's {resolution}"
        )
        found.append(Advice("hint", text))
    return tuple(sorted(found, key=lambda item: _ORDER.index(item.level)))


def _about_count(distinct: int, least: int) -> Advice:
    if distinct == 0:
        return Advice("error", "there are no readable images: choose another folder")
    if distinct < least:
        return Advice("error", f"{distinct} different images are too few to train on: at least {least}")
    if distinct < FEW_IMAGES:
        return Advice("warning", f"under {FEW_IMAGES} images: use quick-64; more images make better models")
    if distinct < MANY_IMAGES:
        return Advice("good", f"{distinct} different images: use quick-64")
    return Advice("good", f"{distinct} different images: enough for the larger presets")


def _about_alignment(figure: float) -> list[Advice]:
    from coordgan_core.data.alignment import verdict

    word = verdict(figure)
    if word == "well":
        return [Advice("good", "the images are aligned well")]
    if word == "roughly":
        return [Advice("hint", "the images are aligned roughly: a box around the object may help")]
    text = "the images are hardly aligned: crop to the box around labels, or to one box, before training"
    return [Advice("warning", text)]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
