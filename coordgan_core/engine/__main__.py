"""Run the engine: ``python -m coordgan_core.engine``, requests on its input, replies on its output."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import BinaryIO

from coordgan_core.torch_folder import EXIT_TORCH, use_torch_folder


def prepare_environment() -> None:
    """Leave one core to the window and let idle threads sleep; has to happen before PyTorch is loaded."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if "OMP_NUM_THREADS" not in os.environ:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        os.environ["OMP_NUM_THREADS"] = str(max(1, count - 1))


def take_output() -> BinaryIO:
    """Return standard output for replies alone; whatever else prints goes to standard error."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sink


def load_private_torch() -> bool:
    """Load the private build of PyTorch if one is named; return False if it cannot be loaded.

    At once, before anything is answered: half a library cannot be exchanged for another in one process, so
    whoever started the engine has to start it again without.
    """
    folder = use_torch_folder()
    if folder is None:
        return True
    try:
        importlib.import_module("torch")
    except Exception as error:  # whatever a broken library raises
        sys.stderr.write(f"PyTorch in {folder} cannot be loaded: {error}\n")
        return False
    return True


def main() -> int:
    """Serve until the input ends."""
    prepare_environment()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    sink = take_output()
    if not load_private_torch():
        return EXIT_TORCH

    from coordgan_core.engine.backend import LocalBackend
    from coordgan_core.engine.server import Server

    Server(LocalBackend(), sys.stdin.buffer, sink).serve()
    # threads of libraries must not keep the process, nor their exit handlers crash it
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
