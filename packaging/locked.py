"""Installs what the installers are built from: what ``requirements.lock`` pins, then the project itself.

``python packaging/locked.py``, in a fresh environment. On Linux the lock names PyTorch for graphics cards;
the build for processors, which is what users get, comes from PyTorch's own index: its version is that of the
lock, its hash is not in it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "packaging" / "requirements.lock"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
_FOR_CARDS = re.compile(r"(torch|triton|cuda|nvidia)(-|==)")


def entries(lock: str) -> list[str]:
    """Return the entries of a lock file, each with its hashes."""
    return [part for part in re.split(r"^(?=\S)", lock, flags=re.MULTILINE) if part[:1].isalnum()]


def for_processors(lock: str) -> tuple[str, str]:
    """Return a lock without PyTorch and what only graphics cards need, and the version of PyTorch."""
    kept = [entry for entry in entries(lock) if not _FOR_CARDS.match(entry)]
    found = re.search(r"^torch==(\S+)", lock, flags=re.MULTILINE)
    if found is None:
        raise ValueError(f"{LOCK} pins no torch; run the command at its head again")
    return "".join(kept), found[1]


def main() -> int:
    """Install; return pip's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        lock, commands = LOCK, []
        if sys.platform == "linux":
            text, torch = for_processors(LOCK.read_text(encoding="utf-8"))
            lock = Path(folder) / "requirements.lock"
            lock.write_text(text, encoding="utf-8")
            commands.append(["--no-deps", "--index-url", TORCH_INDEX, f"torch=={torch}"])
        commands.insert(0, ["--no-deps", "--require-hashes", "-r", str(lock)])
        commands.append(["--no-deps", "--no-build-isolation", str(ROOT)])
        for arguments in commands:
            done = subprocess.run([sys.executable, "-m", "pip", "install", *arguments], check=False)
            if done.returncode:
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
