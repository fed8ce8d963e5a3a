"""The main function of the installed application: the command, the window and, by a flag, the engine."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from app.processes import ENGINE_FLAG

_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBPATH")


def main() -> int:
    """Run what the arguments ask for; return the exit code."""
    multiprocessing.freeze_support()  # helpers of Python's own start this program again
    restore_library_path(os.environ)
    give_streams()
    if sys.argv[1:2] == [ENGINE_FLAG]:
        from coordgan_core.engine.__main__ import main as serve

        return serve()
    from app import cli

    return cli.main()


def restore_library_path(environment: MutableMapping[str, str]) -> None:
    """Give programs of the system that we start (a browser, a file manager) their own libraries, not ours.

    The loader has read the variable already; a copy of this program sets it again for itself.
    """
    for name in _LIBRARY_PATHS:
        original = environment.pop(f"{name}_ORIG", None)
        if original is not None:
            environment[name] = original
        elif name in environment and _is_ours(environment[name]):
            del environment[name]


def _is_ours(value: str) -> bool:
    unpacked = getattr(sys, "_MEIPASS", None)
    return unpacked is not None and all(
        Path(part).is_relative_to(unpacked) for part in value.split(os.pathsep) if part
    )


def give_streams() -> None:
    """Open the standard streams that a program without a console lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 (as long as the process)


if __name__ == "__main__":
    sys.exit(main())
