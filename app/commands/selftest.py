"""`selftest`: opens the window, propagates and exports the sample project, and says what works."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.commands.output import EXIT_FINDINGS, print_json, print_line
from app.commands.window import has_display
from coordgan_core.errors import CoordError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("selftest")(selftest)


def selftest(
    out: Annotated[
        Path | None, typer.Option(help="Folder for what it makes; one that is removed again if not given.")
    ] = None,
    offscreen: Annotated[
        bool, typer.Option("--offscreen", help="Show no window, even where there is a screen.")
    ] = False,
    start_only: Annotated[bool, typer.Option("--start-only", help="Open the window and quit.")] = False,
    train: Annotated[bool, typer.Option("--train", help="Also train for a moment.")] = False,
    all_models: Annotated[
        bool, typer.Option("--all-models", help="Also label with every bundled model, and draw in Explore.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON lines to stdout.")] = False,
) -> None:
    """Test the installed program with its sample project: window, engine, propagation, export.

    Exit code 1 if a part does not work.
    """
    if offscreen or not has_display(os.environ, sys.platform):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    test = importlib.import_module("app.selftest")
    with _folder(out) as folder:
        try:
            for step in test.run(folder, start_only=start_only, train=train, all_models=all_models):
                if as_json:
                    print_json({"event": "step", **asdict(step)})
                else:
                    seen = ", ".join(f"{name}: {value}" for name, value in step.seen.items())
                    print_line(f"{step.seconds:7.2f} s  {step.name}" + (f"  ({seen})" if seen else ""))
        except CoordError as error:
            sys.stderr.write(f"Error: {error}\n")
            if as_json:
                print_json({"event": "error", "found": error.found, "remedy": error.remedy})
            raise typer.Exit(EXIT_FINDINGS) from error
    if as_json:
        print_json({"event": "passed"})
    else:
        print_line("Everything works.")


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="coordlabel-selftest-", ignore_cleanup_errors=True) as made:
        yield Path(made)
