"""Kill the window, the engine and trainings at random instants, and look what is left.

python -m tests.faults --kills 500
python -m tests.faults --minutes 10 --json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.faults import campaign


def main() -> int:
    """Run the campaign; 1 if anything was lost or damaged."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=0, help="how many kills (100 without --minutes)")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so many minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the random instants")
    parser.add_argument("--only", choices=list(campaign.SCENES), action="append", help="only these scenes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    kills = given.kills or (10**9 if given.minutes else 100)
    seconds = 60.0 * given.minutes if given.minutes else 1e9
    scenes = {n: campaign.SCENES[n] for n in given.only} if given.only else campaign.SCENES
    root = Path(tempfile.mkdtemp(prefix="coordlabel-faults-"))
    told = 0

    def progress(report: campaign.Report) -> None:
        nonlocal told
        for text in report.problems[told:]:
            sys.stderr.write(f"{text}\n")
        told = len(report.problems)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{report.kills} kills, {report.committed} operations ")

    report = campaign.run(
        root, kills=kills, seconds=seconds, seed=given.seed, scenes=scenes, progress=progress
    )
    campaign.discard(root, report)
    if given.json:
        found = {name: getattr(report, name) for name in ("kills", "committed", "lost", "damaged")}
        found |= {"seconds": round(report.seconds, 1), "scenes": dict(report.by_scene)}
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        scenes_told = ", ".join(f"{name} {number}" for name, number in sorted(report.by_scene.items()))
        sys.stdout.write(
            f"kills                 {report.kills}  ({scenes_told})\n"
            f"committed operations  {report.committed}\n"
            f"lost operations       {report.lost}\n"
            f"damaged projects      {report.damaged}\n"
            f"seconds               {report.seconds:.0f}\n"
        )
    if report.problems:
        sys.stderr.write(f"what is left lies in {root}\n")
    return 1 if report.lost or report.damaged else 0


if __name__ == "__main__":
    sys.exit(main())
