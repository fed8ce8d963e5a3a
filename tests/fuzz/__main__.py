"""Feed damaged and hostile files to everything that reads any.

python -m tests.fuzz --minutes 10
python -m tests.fuzz --only "model file" --seed 123      # one input again
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.fuzz import campaign


def main() -> int:
    """Run the campaign; 1 if anything crashed or hung."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs; with --only that of one input")
    parser.add_argument("--only", help="feed one input to one target, in this process")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="coordlabel-fuzz-"))
    if given.only:
        from tests.fuzz import worker

        sys.stdout.write(f"{root}\n")
        worker.feed(given.only, root, given.seed)
        return 0
    told = 0

    def progress(report: campaign.Report) -> None:
        nonlocal told
        for text in report.problems[told:]:
            sys.stderr.write(f"{text}\n")
        told = len(report.problems)

    report = campaign.run(root, seconds=60 * given.minutes, seed=given.seed, progress=progress)
    shutil.rmtree(root, ignore_errors=True)
    if given.json:
        found = {name: getattr(report, name) for name in ("inputs", "crashes", "hangs")}
        found |= {"seconds": round(report.seconds, 1), "targets": dict(report.by_target)}
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        targets = ", ".join(f"{name} {number}" for name, number in sorted(report.by_target.items()))
        sys.stdout.write(f"inputs tried  {report.inputs}  ({targets})\n")
        sys.stdout.write(f"crashes       {report.crashes}\nhangs         {report.hangs}\n")
    return 1 if report.crashes or report.hangs else 0


if __name__ == "__main__":
    sys.exit(main())
