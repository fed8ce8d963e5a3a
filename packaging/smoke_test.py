"""Tests a built artefact as a user would meet it: ``python packaging/smoke_test.py dist/CoordLabel``.

The artefact is installed under a path with spaces and letters outside of ASCII, read-only, and run by another
user (where the tester may change users) with next to no environment. It has to tell its version, pass its
doctor, show its window in time, propagate and export the sample project, use every bundled model and Explore,
train for a moment, and quit, with nothing but its own Python, Qt and PyTorch. Needs Python alone; ``--root``
takes a root with another system (debootstrap).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installers.contents import has_openvino
from installers.place import Installed, PlacingError, fingerprint, foreign, install, make_writable
from installers.product import ROOT, product

START_BAR_SEC = 3.0
"""Within which the window has to be on the screen."""
START_AIM_SEC = 2.0
STARTS = 3
"""The best of so many starts counts: the first reads everything from disk."""
PATIENCE_SEC = 900.0
"""For one call of the program: a training and six models are minutes where others use the processor too."""
LEAST_MIOU = 0.5
"""Of the bundled model on the sample project: below, something is broken, not just worse."""


class SmokeError(Exception):
    """The artefact does not do what it must."""


@dataclass
class Line:
    """A JSON line and the seconds from the start of the process to it."""

    seconds: float
    value: dict[str, Any]


def run(installed: Installed, *arguments: str) -> str:
    """Run the program and return what it wrote.

    Raises:
        SmokeError: It failed.
    """
    done = subprocess.run(
        installed.command(*arguments),
        env=installed.environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE_SEC,
        cwd=installed.space,
        check=False,
        **installed.as_user(),
    )
    if done.returncode != 0:
        raise SmokeError(
            f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    written: str = done.stdout
    return written


def lines(installed: Installed, *arguments: str, watch: bool = False) -> tuple[list[Line], list[str]]:
    """Run the program and return its JSON lines with their times, and the foreign libraries it loaded.

    Args:
        installed: The program.
        arguments: Its arguments.
        watch: Look at what the process and its children have loaded (Linux).

    Raises:
        SmokeError: It failed.
    """
    found: list[Line] = []
    strange: set[str] = set()
    begin = time.monotonic()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            installed.command(*arguments),
            env=installed.environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=installed.space,
            **installed.as_user(),
        ) as process,
    ):
        timer = threading.Timer(PATIENCE_SEC, process.kill)
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                found.append(Line(time.monotonic() - begin, json.loads(line)))
            if watch:
                strange |= _foreign_libraries(process.pid, str(installed.folder))
        process.wait()
        timer.cancel()
        errors.seek(0)
        if process.returncode != 0:
            text = errors.read().decode("utf-8", "replace")[-4000:]
            raise SmokeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{text}")
    return found, sorted(strange)


def _foreign_libraries(pid: int, inside: str) -> set[str]:
    """Look at a process and all below it; those that end meanwhile are left out."""
    if sys.platform != "linux":
        return set()
    found: set[str] = set()
    for each in [pid, *_children(pid)]:
        with contextlib.suppress(OSError):
            found |= set(foreign(Path(f"/proc/{each}/maps").read_text(encoding="utf-8"), inside))
    return found


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _children(int(child))


def check_version(installed: Installed) -> str:
    """Check that the artefact is of this checkout's version."""
    told = run(installed, "--version").strip()
    wanted = f"coordlabel {product().version}"
    if told != wanted:
        raise SmokeError(f"the artefact says {told!r}, expected {wanted!r}")
    return told


def check_doctor(installed: Installed) -> str:
    """Check that the doctor finds nothing wrong, and that the program runs from where it was installed."""
    report = json.loads(run(installed, "doctor", "--json").splitlines()[-1])
    serious = [finding["problem"] for finding in report["findings"] if finding.get("serious", True)]
    if serious:
        raise SmokeError(f"the doctor finds {serious}")
    executable = report["system"]["executable"]
    if not executable.startswith(str(installed.seen(installed.folder))):
        raise SmokeError(f"the program runs from {executable}")
    missing = [name for name, version in report["versions"].items() if version == "missing"]
    if missing:
        raise SmokeError(f"no version is known of {missing}")
    return f"Python {report['system']['python']}, PyTorch {report['versions']['torch']}"


def check_start(installed: Installed, bar_sec: float = START_BAR_SEC) -> str:
    """Check that the window is on the screen in time, and that the window does without PyTorch."""
    times, efforts = [], []
    for number in range(STARTS):
        before = os.times()
        out = str(installed.seen(installed.space / f"start {number}"))
        seen, _ = lines(installed, "selftest", "--offscreen", "--json", "--start-only", "--out", out)
        window = _step(seen, "window")
        times.append(window.seconds)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        efforts.append(spent)
        if window.value["seen"]["libraries"]:
            raise SmokeError(f"the window has loaded {window.value['seen']['libraries']}")
    told = f"{min(times):.2f} s (first {times[0]:.2f} s), {min(efforts):.2f} s of a processor with its end"
    best = min(times)
    if best > bar_sec and is_busy():
        best = min(efforts)
        told += "; this machine is busy with other things: judged by the processor's time"
    if best > bar_sec:
        raise SmokeError(f"the window took {told}; at most {bar_sec} s are allowed")
    return told if best <= START_AIM_SEC else f"{told}; the aim is {START_AIM_SEC} s"


def is_busy() -> bool:
    """Return whether more processes want to run than there are processors, so that waiting proves nothing."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)


def check_work(installed: Installed) -> str:
    """Check propagation by the engine, export and a training in the window, and where libraries come from."""
    out = str(installed.seen(installed.space / "wörk"))
    arguments = ("selftest", "--offscreen", "--train", "--all-models", "--json", "--out", out)
    told, strange = lines(installed, *arguments, watch=True)
    if strange:
        raise SmokeError(f"libraries of the system are used: {strange}")
    if told[-1].value != {"event": "passed"}:
        raise SmokeError(f"the self-test ended with {told[-1].value}")
    labelled = _step(told, "propagated").value["seen"]["images"]
    exported = _step(told, "exported").value["seen"]["files"]
    trained = _step(told, "trained").value["seen"]["model_bytes"] / 1e6
    pictures = _step(told, "explored").value["seen"]["pictures"]
    return (
        f"{labelled} images labelled with {_models(told)}, {exported} exported, {pictures} drawn in Explore, "
        f"a model of {trained:.0f} MB trained, {told[-1].seconds:.0f} s"
    )


def _models(told: Sequence[Line]) -> str:
    """Return the names of the bundled models and what ran all of them.

    Raises:
        SmokeError: One is missing, or was run by something else than this system's installers bring for it.
    """
    first = _step(told, "engine").value["seen"]
    others = [line.value["seen"] for line in told if line.value.get("name") == "model"]
    missing = bundled_models() - {first["model"], *(seen["model"] for seen in others)}
    if missing:
        raise SmokeError(f"nothing was labelled with {', '.join(sorted(missing))}")
    for seen in (first, *others):
        check_runtime(seen["runtime"], seen["model"])
    return f"{', '.join([first['model'], *(seen['model'] for seen in others)])} run by {first['runtime']}"


def bundled_models() -> set[str]:
    """Return the names of the models that every artefact has to hold."""
    return {path.stem for path in (ROOT / "resources" / "models").glob("*.safetensors")}


def check_runtime(told: str, model: str) -> None:
    """Raise SmokeError unless a model was run by what this system's installers bring for it."""
    wanted = "OpenVINO" if has_openvino() else "PyTorch"
    if not told.startswith(wanted):
        raise SmokeError(f"{told} has run the model {model}, expected {wanted}")


def check_command(installed: Installed) -> str:
    """Check propagation on the command line: how well the bundled model labels the sample."""
    out = str(installed.seen(installed.space / "demo"))
    report = json.loads(run(installed, "demo", "--no-window", "--json", "--out", out).splitlines()[-1])
    if report["labelled"] < 23 or report["failed"] or report["miou"] < LEAST_MIOU:
        raise SmokeError(f"the demo says {report}")
    check_runtime(report["runtime"], "of the demo")
    return f"mean IoU {report['miou']:.3f}, run by {report['runtime']}"


def _step(told: Sequence[Line], name: str) -> Line:
    """Return the line of a step.

    Raises:
        SmokeError: There is none.
    """
    for line in told:
        if line.value.get("event") == "step" and line.value.get("name") == name:
            return line
    raise SmokeError(f"the self-test does not tell of {name!r}: {[line.value for line in told]}")


CHECKS = {
    "version": check_version,
    "doctor": check_doctor,
    "start": check_start,
    "work": check_work,
    "command": check_command,
}


def test_installed(installed: Installed) -> list[str]:
    """Run all checks; return the names of those that failed."""
    before = fingerprint(installed.folder)
    failed = []
    for name, check in CHECKS.items():
        try:
            say(f"ok      {name:<9} {check(installed)}")
        except (SmokeError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
            failed.append(name)
            say(f"FAILED  {name:<9} {error}")
    changed = before.items() ^ fingerprint(installed.folder).items()
    if changed:
        failed.append("read-only")
        say(f"FAILED  read-only the installed folder has changed: {sorted(changed)[:5]}")
    return failed


def main(argv: Sequence[str] | None = None) -> int:
    """Test an artefact; return 0 if it passes, 1 if it does not, 2 if it is none."""
    parser = argparse.ArgumentParser(description="Test a built artefact.")
    parser.add_argument("artefact", type=Path)
    parser.add_argument("--root", type=Path, help="root with another system, to run in by chroot")
    parser.add_argument(
        "--installed",
        type=Path,
        help="program that is installed in --root already; the artefact is not placed",
    )
    options = parser.parse_args(argv)
    root = options.root.resolve() if options.root else None
    base = tempfile.mkdtemp(prefix="smoke-", dir=root / "tmp" if root else None)
    place = Path(base)
    try:
        installed = (
            _already(options.installed, place, root)
            if options.installed
            else install(options.artefact, place, root=root)
        )
        user = "the tester" if installed.user is None else f"user {installed.user}"
        say(f"{options.artefact.name} in {installed.seen(installed.folder)}, as {user}" + _in(root))
        failed = test_installed(installed)
    except PlacingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    finally:
        make_writable(place)
        shutil.rmtree(place, ignore_errors=True)
    say("passed" if not failed else f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _already(program: Path, place: Path, root: Path | None) -> Installed:
    """Return a program that a package manager has installed."""
    space = place / "space"
    (space / "home").mkdir(parents=True)
    place.chmod(0o755)
    user = 65534 if hasattr(os, "geteuid") and os.geteuid() == 0 else None
    if user is not None:
        for path in (space, space / "home"):
            os.chown(path, user, user)
    real = (root or Path("/")) / program.relative_to("/")
    return Installed(real.resolve().parent, program, space, root, user)


def _in(root: Path | None) -> str:
    return f", confined to {root}" if root else ""


def say(text: str) -> None:
    """Tell the tester."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
