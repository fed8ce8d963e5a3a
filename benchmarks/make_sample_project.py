"""Make the sample project of the application: ``python benchmarks/make_sample_project.py [--out FOLDER]``.

The project is 24 figures of the synthetic category and the label map of one of them. The same files come
out byte for byte on every run; another build of the numerical libraries may change single pixels by one
grey level.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image

from coordgan_core.data.synthetic import CLASSES, SyntheticCategory
from coordgan_core.labels import LabelClasses, write_label_map

SEED = 2
COUNT = 24
SIDE_PX = 256
QUALITY = 88
REFERENCE = 9
"""Index of the labelled figure: frontal, every part in sight down to the clothes."""

# Okabe and Ito's colours and mixtures of them: neighbouring parts stay apart with every kind of colour vision
COLOURS = {
    "background": "#000000",
    "skin": "#e69f00",
    "hair": "#0072b2",
    "ears": "#cc79a7",
    "brows": "#f0e442",
    "eyes": "#ffffff",
    "nose": "#56b4e9",
    "mouth": "#d55e00",
    "neck": "#009e73",
    "clothes": "#7f6fb8",
}


def make(out: Path) -> None:
    """Write the sample project into ``out``."""
    for name in ("images", "labels", "truth"):
        (out / name).mkdir(parents=True, exist_ok=True)
    named = [{"id": i, "name": name, "color": COLOURS[name]} for i, name in enumerate(CLASSES)]
    classes = LabelClasses.from_json(named)
    (out / "classes.json").write_text(json.dumps(classes.to_json(), indent=1) + "\n", encoding="utf-8")
    (out / "references.txt").write_text(f"{stem(REFERENCE)}\n", encoding="utf-8")
    category = SyntheticCategory(SEED)
    for index in range(COUNT):
        sample = category.sample(index, SIDE_PX)
        picture = Image.fromarray(sample.image)
        picture.save(out / "images" / f"{stem(index)}.jpg", quality=QUALITY, optimize=True)
        write_label_map(out / "truth" / f"{stem(index)}.png", sample.labels, classes.palette())
        if index == REFERENCE:
            write_label_map(out / "labels" / f"{stem(index)}.png", sample.labels, classes.palette())


def stem(index: int) -> str:
    """Return the file name of a figure, without its ending."""
    return f"figure-{index + 1:02d}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).resolve().parent.parent / "resources" / "sample_project"
    parser.add_argument("--out", type=Path, default=default, help="folder of the sample project")
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()
