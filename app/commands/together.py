"""Several processes that `torchrun` has started for one command: they meet once, at the end."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from coordgan_core.errors import DataError

_POLL_SEC = 0.1


def world() -> int:
    """Return how many processes do this together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return which of them this is."""
    return int(os.environ.get("RANK", "0"))


class Meeting:
    """Where processes tell each other how they ended.

    A process that ends with findings would make `torchrun` stop the others in the midst of their work, so
    all wait for the last. Processes that were started by hand, with ``RANK`` and ``WORLD_SIZE`` alone, do
    not wait: their work needs no talking, and each tells its own part.
    """

    def __init__(self) -> None:
        self._store: Any = None
        if world() > 1 and os.environ.get("MASTER_ADDR"):
            from torch.distributed.rendezvous import rendezvous

            self._store = next(iter(rendezvous("env://")))[0]

    @property
    def waits(self) -> bool:
        """Whether all processes end together."""
        return self._store is not None

    def reports(self, mine: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what all processes report, in the order of their ranks; waits for the last one.

        Raises:
            DataError: The others have gone.
        """
        if not self.waits:
            return [mine]
        import torch.distributed as dist

        keys = [f"report/{other}" for other in range(world())]
        try:
            self._store.set(keys[rank()], json.dumps(mine))
            while not self._store.check(keys):
                time.sleep(_POLL_SEC)  # and not a blocking wait, in which Ctrl+C would go unheard
            found = [json.loads(self._store.get(key)) for key in keys]
            self._store.set(f"read/{rank()}", "")
            while rank() == 0 and not self._store.check([f"read/{other}" for other in range(world())]):
                time.sleep(_POLL_SEC)  # the store may live in this process
        except dist.DistError as error:
            raise DataError(
                f"the other processes have gone ({type(error).__name__})",
                remedy="run the same command again: what is done stays done",
            ) from error
        return found
