"""The main function of the installed application: the command, the window and, by a flag, the engine."""

from __future__ import annotations

import multiprocessing
import os
import sys

from app.processes import ENGINE_FLAG, restore_library_path


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


def give_streams() -> None:
    """Open the standard streams that a program without a console lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # as long as the process
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


if __name__ == "__main__":
    sys.exit(main())
