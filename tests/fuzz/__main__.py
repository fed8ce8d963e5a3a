"""Feed damaged and hostile files to everything that reads any.

python -m tests.fuzz --minutes 10
python -m tests.fuzz --only "model file" --seed 123      # one input again
python -m tests.fuzz --engine atheris --target import --minutes 5
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.fuzz import campaign, guided


def main() -> int:
    """Run the campaign; 1 if anything crashed or hung."""
    given = _arguments()
    if given.engine == "atheris" and not guided.is_installed():
        sys.stderr.write(f"{guided.NOT_INSTALLED}\n")
        return 2
    root = Path(tempfile.mkdtemp(prefix="coordlabel-fuzz-"))
    if given.only or given.input:
        sys.stdout.write(f"{root}\n")
        _one_input(given, root)
        return 0
    report = _run(given, root)
    if given.engine == "own" or not report.problems:
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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs; with --only that of one input")
    parser.add_argument("--engine", choices=["own", "atheris"], default="own", help="who makes the inputs")
    parser.add_argument("--target", default="", help="feed one target only; atheris takes import without it")
    parser.add_argument("--only", help="feed one input to one target, in this process")
    parser.add_argument("--input", type=Path, help="feed what atheris has kept to --target, in this process")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    given.target = given.target or ("import" if given.engine == "atheris" or given.input else "")
    for name in filter(None, (given.target, given.only)):
        from tests.fuzz import worker

        if name not in worker.TARGETS:
            parser.error(f"there is no target {name!r}; there are {', '.join(sorted(worker.TARGETS))}")
    return given


def _one_input(given: argparse.Namespace, root: Path) -> None:
    if given.input:
        guided.feeder(given.target, root)(given.input.read_bytes())
        return
    from tests.fuzz import worker

    worker.feed(given.only, root, given.seed)


def _run(given: argparse.Namespace, root: Path) -> campaign.Report:
    if given.engine == "atheris":
        report = guided.run(root, given.target, seconds=60 * given.minutes, seed=given.seed)
        for text in report.problems:
            sys.stderr.write(f"{text}\n")
        return report
    told = 0

    def progress(report: campaign.Report) -> None:
        nonlocal told
        for text in report.problems[told:]:
            sys.stderr.write(f"{text}\n")
        told = len(report.problems)

    seconds = 60 * given.minutes
    return campaign.run(root, seconds=seconds, seed=given.seed, progress=progress, target=given.target)


if __name__ == "__main__":
    sys.exit(main())
