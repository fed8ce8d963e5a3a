"""What any process may ask of a run: to pause, to stop and keep its model, to be deleted. No PyTorch."""

from __future__ import annotations

import dataclasses

from coordgan_core.errors import CheckpointError
from coordgan_core.training import locking
from coordgan_core.training.run import Request, RunFolder


def is_alive(run: RunFolder) -> bool:
    """Return whether a process trains this run now."""
    return locking.is_held(run.path / "lock")


def ask(run: RunFolder, what: Request) -> str:
    """Ask something of a run; return in a sentence what happens.

    A living run obeys within seconds. One without a process is stopped or discarded here and now.

    Raises:
        CheckpointError: It is to be paused, and no process trains it; or one began to at this moment.
        DiskFullError: The run folder cannot be written.
    """
    if is_alive(run):
        run.request(what)
        return {
            "pause": "it writes a checkpoint and pauses within seconds",
            "stop": "it ends within seconds; its newest model stays",
            "discard": "it ends and is deleted within seconds",
        }[what]
    if what == "pause":
        raise CheckpointError(
            f"no process is training in {run.path}",
            expected="a running training",
            remedy="nothing is to be paused; `coordlabel resume` goes on with it",
        )
    with run.locked():
        if what == "stop":
            kept = "its newest model stays" if run.model_path.exists() else "it has no model yet"
            run.write_status(dataclasses.replace(run.status(), state="finished", message=f"stopped; {kept}"))
            return f"it is closed; {kept}"
    run.discard()
    return "it is deleted"
