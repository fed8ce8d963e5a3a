"""On what the engine computes: asked of a process like it, because only PyTorch itself knows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.processes import child_environment, probe_command
from coordgan_core.torch_folder import TORCH_VARIABLE

_TIMEOUT_SEC = 180.0


@dataclass(frozen=True)
class Probe:
    """What a process of the engine has.

    Args:
        torch: Version of PyTorch; empty if it could not be loaded.
        cuda: Version of CUDA it was built with; empty for a build for processors.
        devices: Names of the graphics cards it computes on.
        problem: Why it could not be loaded; empty if it could.
    """

    torch: str = ""
    cuda: str = ""
    devices: tuple[str, ...] = ()
    problem: str = ""


def probe(
    folder: Path | None = None,
    *,
    command: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Probe:
    """Start a process, load PyTorch in it and return what it says; takes seconds: call it in a worker.

    Args:
        folder: A private build; None asks for what the environment names, or the installed one.
        command: What is started; `app.processes.probe_command` by default.
        environment: What to start from; that of this process if None.
    """
    variables = child_environment(environment, torch_folder=folder)
    try:
        done = subprocess.run(
            list(command or probe_command()),
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_SEC,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Probe(problem=str(error))
    errors = done.stderr.decode("utf-8", "replace").strip().splitlines()
    try:
        told = json.loads(done.stdout.decode("utf-8").strip().splitlines()[-1])
        found = Probe(str(told["torch"]), str(told["cuda"] or ""), tuple(map(str, told["devices"])))
    except (ValueError, KeyError, TypeError, IndexError):
        return Probe(problem=errors[-1][:300] if errors else f"it ended with exit code {done.returncode}")
    if folder is not None and Path(str(told.get("folder"))) != folder:
        return Probe(problem=f"{TORCH_VARIABLE} was not heeded: PyTorch came from {told.get('folder')}")
    return found
