"""Put load on the program and print what it took.

python -m tests.load                        # 100,000 images, 200 classes, 100 megapixels, 10,000 steps, soak
python -m tests.load --images 10000 --soak-minutes 1 --json
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.load import work


def main() -> int:
    """Run every load; 1 where memory has grown beyond its bounds."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--soak-minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="where to work; the system's temporary folder by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="coordlabel-load-", dir=given.folder))
    found = {
        f"{given.images} images": work.many_images(root / "many", given.images),
        "200 classes": work.many_classes(root / "classes"),
        "100 megapixels": work.a_huge_image(root / "huge"),
        f"{given.steps} steps": work.many_steps(root / "steps", given.steps),
        f"soak of {given.soak_minutes:g} minutes": work.soak(root / "soak", 60 * given.soak_minutes),
    }
    shutil.rmtree(root, ignore_errors=True)
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for name, figures in found.items():
            sys.stdout.write(name + ": " + ", ".join(f"{k} {v:.3g}" for k, v in figures.items()) + "\n")
    growth = [figures["growth"] for figures in found.values() if "growth" in figures]
    within = found[f"{given.images} images"]["memory_mb"] < 300 + given.images / 200
    return 0 if max(growth) < 0.05 and within else 1


if __name__ == "__main__":
    sys.exit(main())
