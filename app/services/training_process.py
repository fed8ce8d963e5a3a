"""Starts trainings as processes that outlive the window, and reaps those that end before it. No Qt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from app.processes import child_environment, command, is_frozen
from app.services.training_queue import Order
from app.services.training_values import TrainRequest

LABELS = "labels"
"""Folder in the run folder that the labels are laid down in."""

_DETACHED = 0
if sys.platform == "win32":
    _DETACHED = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP

_children: list[subprocess.Popen[bytes]] = []
"""Trainings that this process has started: they are reaped when they end, so that no zombie stays."""


def start(order: Order, log: Path) -> int:
    """Start the process of an order, detached, its output appended to ``log``; return its id.

    Raises:
        OSError: It cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        child = subprocess.Popen(  # noqa: S603
            arguments(order),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=child_environment(),
            creationflags=_DETACHED,
            start_new_session=True,  # no terminal's hang-up reaches it; Windows has the flags instead
        )
    _children.append(child)
    return child.pid


def reap() -> None:
    """Take note of trainings that have ended."""
    _children[:] = [child for child in _children if child.poll() is None]


def is_running(pid: int) -> bool:
    """Return whether a process of this id exists, as far as that can be told."""
    reap()
    if any(child.pid == pid for child in _children):
        return True
    if pid <= 0 or sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def arguments(order: Order) -> list[str]:
    """Return the command line of an order."""
    several = order.device == "cuda:all"
    device = "cuda" if several else order.device
    if order.verb == "resume":
        words = ["resume", str(order.run), "--device", device]
    else:
        assert order.request is not None
        words = _train(order.request, order.run, device)
    if not several or is_frozen():
        return command(*words)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "gpu"]
    return [sys.executable, *torchrun, "-m", "--", "app", *words]


def settings(request: TrainRequest) -> list[str]:
    """Return the part of a command line that says what is trained."""
    words = ["--images", str(request.images), "--preset", request.preset]
    words += ["--recursive" if request.recursive else "--no-recursive"]
    for name, value in request.changes.items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    return words


def lay_down_labels(labels: dict[str, Path], folder: Path) -> Path | None:
    """Copy label maps below ``folder``, named as the trainer looks for them; None without any.

    Raises:
        OSError: One cannot be copied.
    """
    for name, path in labels.items():
        target = folder / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder if labels else None


def _train(request: TrainRequest, run: Path, device: str) -> list[str]:
    words = ["train", *settings(request), "--run", str(run), "--device", device]
    if (run / LABELS).is_dir():
        words += ["--labels", str(run / LABELS)]
    if request.start is not None:
        words += ["--start", str(request.start)]
    for option, text in (("--name", request.name), ("--category", request.category)):
        words += [option, text] if text else []
    return words + (["--licence", request.licence] if request.licence else [])
