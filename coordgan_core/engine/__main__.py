"""Run the engine: ``python -m coordgan_core.engine``, requests on its input, replies on its output."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import BinaryIO

from coordgan_core.torch_folder import EXIT_TORCH, PROBE_FLAG, use_torch_folder


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


def probe(sink: BinaryIO) -> int:
    """Write one JSON object: which PyTorch this process has, and on what it computes."""
    import torch

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    told = {
        "torch": torch.__version__,
        "folder": str(Path(torch.__file__).parents[1]),
        "cuda": torch.version.cuda,
        "devices": devices if torch.cuda.is_available() else [],
    }
    sink.write(json.dumps(told).encode() + b"\n")
    sink.flush()
    return 0


def main() -> int:
    """Serve until the input ends; with ``--probe`` only tell on what this process computes."""
    prepare_environment()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    sink = take_output()
    if not load_private_torch():
        return EXIT_TORCH
    if PROBE_FLAG in sys.argv[1:]:
        return probe(sink)

    from coordgan_core.engine.backend import LocalBackend
    from coordgan_core.engine.server import Server

    Server(LocalBackend(), sys.stdin.buffer, sink).serve()
    # threads of libraries must not keep the process, nor their exit handlers crash it
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
