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
    parser.add_argument("--soak-minutes", type=float, default=16.0)
    parser.add_argument("--folder", type=Path, help="where to work; the system's temporary folder by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="coordlabel-load-", dir=given.folder))
    found = run(root, given.images, given.steps, 60 * given.soak_minutes)
    shutil.rmtree(root, ignore_errors=True)
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for name, figures in found.items():
            sys.stdout.write(name + ": " + ", ".join(f"{k} {v:.3g}" for k, v in figures.items()) + "\n")
    return 1 if too_much(found, given.images) else 0


def run(root: Path, images: int, steps: int, seconds: float) -> dict[str, work.Figures]:
    """Run the loads one after the other and return their figures."""
    found = {"many images": work.many_images(root / "many", images)}
    found["many images, in the window"] = work.in_the_window("many", root / "many" / "project")
    shutil.rmtree(root / "many", ignore_errors=True)
    found["200 classes"] = work.many_classes(root / "classes")
    found["100 megapixels"] = work.a_huge_image(root / "huge")
    found[f"{steps} steps"] = work.many_steps(root / "steps", steps)
    found["soak without a window"] = work.soak(root / "soak", seconds / 4)
    place = work.soak_project(root / "window")
    found["soak in the window"] = work.in_the_window("soak", place, seconds)
    return found


def too_much(found: dict[str, work.Figures], images: int) -> list[str]:
    """Return which figures are beyond their bounds."""
    memory = {"memory_mb": 300 + images / 200}
    bounds = {
        "many images": memory | {"open_cpu_s": 2.0},
        "many images, in the window": memory | {"open_cpu_s": 2.0 + images / 50_000},  # lists the folder too
        "soak without a window": {"growth": 0.05},
        "soak in the window": {"growth": 0.05},
    }
    return [
        f"{name}: {figure} {found[name][figure]:.3g}"
        for name, figures in bounds.items()
        for figure, bound in figures.items()
        if found[name][figure] > bound
    ]


if __name__ == "__main__":
    sys.exit(main())
