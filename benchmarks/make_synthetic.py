"""Make pictures of the synthetic category to train on.

    python benchmarks/make_synthetic.py --out FOLDER [--count 2000] [--seed 0] [--size 256]

Seed 0 is for training; the benchmarks measure on another one. A picture that is there already stays.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from coordgan_core.data.synthetic import SyntheticCategory

QUALITY = 90


def make(out: Path, *, count: int, seed: int = 0, size: int = 256) -> None:
    """Write ``count`` JPEG files into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    category = SyntheticCategory(seed)
    for index in range(count):
        path = out / f"{index:05d}.jpg"
        if not path.exists():
            Image.fromarray(category.sample(index, size).image).save(path, quality=QUALITY)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256, help="side in pixels")
    options = parser.parse_args()
    make(options.out, count=options.count, seed=options.seed, size=options.size)


if __name__ == "__main__":
    main()
