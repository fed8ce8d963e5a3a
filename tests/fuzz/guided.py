"""Fuzzing led by coverage: atheris changes bytes, keeps those that reach new lines, and changes them again.

The bytes are the choices that a target makes: of hypothesis for ``import``, whose odd files `odd_trees`
builds, of the random generator for all others. What crashed lies below ``found`` in the folder of the run:

python -m tests.fuzz --engine atheris --target import --input FILE      # one of them again
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.campaign import HANG_SEC, Report

INSTRUMENTED = ["app.domain"] + [
    f"coordgan_core.{name}"
    for name in ("labels", "label_classes", "files", "manifest", "snapshot", "data.images", "engine.protocol")
    + ("training.checkpoint", "training.run")
]
"""What is measured: what reads files. Instrumenting PyTorch would take minutes and show nothing."""
SEEDS = 24
LONGEST = 6000
NOT_INSTALLED = (
    "atheris is not installed, which leads the fuzzing by coverage.\n"
    'Install it with: python -m pip install -e ".[fuzz]"; it has packages for Linux on x86-64 alone. '
    "Elsewhere use --engine own, the default."
)
_RUNS = re.compile(r"^(?:#(\d+)\s|Done (\d+) runs)", re.MULTILINE)


class Choices(random.Random):
    """A random generator whose choices are those of some bytes; once they are used up, any."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        super().__init__(zlib.crc32(data))

    def getrandbits(self, k: int, /) -> int:
        """Return ``k`` bits, the next bytes where there are any."""
        size = -(-k // 8)
        if self._at + size > len(self._data):
            return super().getrandbits(k)
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at]) >> (8 * size - k)

    def random(self) -> float:
        """Return a number from 0 to below 1."""
        return self.getrandbits(53) / (1 << 53)


def is_installed() -> bool:
    """Return whether atheris is there."""
    return importlib.util.find_spec("atheris") is not None


def run(root: Path, target: str, *, seconds: float, seed: int = 0, hang_sec: float = HANG_SEC) -> Report:
    """Fuzz a target until the time is over, in processes that each begin with what the last one found."""
    report, began = Report(), time.monotonic()
    corpus = root / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    for number in range(SEEDS):
        (corpus / f"seed{number}").write_bytes(chance.randbytes(chance.choice([200, 1000, LONGEST])))
    while (left := seconds - (time.monotonic() - began)) > 1:
        artifacts = root / f"artifacts{report.crashes}.{report.hangs}"
        artifacts.mkdir(exist_ok=True)
        _one_process(root, target, artifacts, left, hang_sec, seed, report)
    report.problems += [file.read_text() for file in sorted((root / "found").glob("*.txt"))]
    report.crashes += len(list((root / "found").glob("*.txt")))
    report.by_target[target] = report.inputs
    report.seconds = time.monotonic() - began
    return report


def _one_process(
    root: Path, target: str, artifacts: Path, seconds: float, hang_sec: float, seed: int, report: Report
) -> None:
    command = [sys.executable, "-m", "tests.fuzz.guided", target, str(root)]
    command += [f"-max_total_time={max(1, int(seconds))}", f"-timeout={int(hang_sec)}", "-rss_limit_mb=12000"]
    command.append(
        f"-report_slow_units={int(hang_sec)}"
    )  # what ends is no hang, on a crowded machine above all
    command += [
        f"-artifact_prefix={artifacts}/",
        f"-max_len={LONGEST}",
        f"-seed={seed + 1}",
        "-print_final_stats=1",
    ]
    log = root / "log.txt"
    with log.open("wb") as stream:
        subprocess.run([*command, str(root / "corpus")], stdout=stream, stderr=stream, check=False)
    text = log.read_text(errors="replace")
    report.inputs += max((int(a or b) for a, b in _RUNS.findall(text)), default=0)
    for file in sorted(f for f in artifacts.iterdir() if not f.name.startswith("slow")):
        is_hang = file.name.startswith("timeout")
        report.hangs, report.crashes = report.hangs + is_hang, report.crashes + (not is_hang)
        what = f"no answer for {hang_sec:.0f} s" if is_hang else "the process died"
        report.problems.append(f"--engine atheris --target {target} --input {file}: {what}\n{text[-1800:]}")
    if not _RUNS.search(text) and not any(artifacts.iterdir()):
        raise RuntimeError(f"atheris did not start: {text[-1000:]}")


def feeder(target: str, place: Path) -> Callable[[bytes], None]:
    """Return what takes the bytes of one input to a target."""
    if target == "import":
        from tests.fuzz import odd_imports

        return odd_imports.feeder(place)
    from tests.fuzz import worker

    return lambda data: worker.feed(target, place, Choices(data))


def main() -> None:
    """Let atheris feed a target: ``python -m tests.fuzz.guided TARGET FOLDER``, then options of libFuzzer."""
    import atheris

    target, root = sys.argv[1], Path(sys.argv[2])
    with atheris.instrument_imports(include=INSTRUMENTED):
        feed = feeder(target, root / f"worker{os.getpid()}")

    def one_input(data: bytes) -> None:
        try:
            feed(data)
        except Exception as error:
            _keep(root / "found", target, data, error)

    atheris.Setup([sys.argv[0], *sys.argv[3:]], one_input)
    atheris.Fuzz()


def _keep(folder: Path, target: str, data: bytes, error: Exception) -> None:
    """Keep the first input that fails in a place, and go on: others may hide behind it."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/app/" in f.filename or "/coordgan_core/" in f.filename] or list(frames)
    where = f"{type(error).__name__}-{Path(ours[-1].filename).stem}-{ours[-1].lineno}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / where).exists():
        (folder / where).write_bytes(data)
        head = (
            f"--engine atheris --target {target} --input {folder / where}: {type(error).__name__}: {error}"[
                :600
            ]
        )
        (folder / f"{where}.txt").write_text(f"{head}\n{traceback.format_exc()[-1800:]}", errors="replace")


if __name__ == "__main__":
    main()
