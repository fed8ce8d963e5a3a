"""The `coordlabel` command: without a verb it opens the window, with one it works without a window.

Nothing heavy is loaded before it is known what is asked: ``--help`` loads neither Qt nor PyTorch.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from app.commands.window import open_window
from coordgan_core._version import __version__
from coordgan_core.errors import ConfigError, CoordError, DataError
from coordgan_core.torch_folder import use_torch_folder

if TYPE_CHECKING:
    import typer

MODULES = (
    "demo",
    "project",
    "propagate",
    "validate",
    "transfer",
    "convert",
    "train",
    "runs",
    "models",
    "evaluate",
    "explore",
    "doctor",
    "selftest",
)
"""Modules of `app.commands`, in the order of the help."""

ABOUT = """Label one image, get the folder.

Without a command the window opens: [bold]coordlabel[/bold], or [bold]coordlabel FOLDER[/bold]; with
[bold]--profile DIR[/bold] it keeps all its state in that folder.

Exit codes: 0 done, 1 findings or failure, 2 wrong usage, 130 cancelled.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    Args:
        argv: Arguments behind the program's name; those of the process if None.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Idle OpenMP threads must sleep: beside a busy window, spinning ones cost a factor of twenty.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if arguments == ["--version"]:
        sys.stdout.write(f"coordlabel {__version__}\n")
        return 0
    if opens_window(arguments):
        return open_window(arguments)
    return run_command(arguments)


def opens_window(arguments: Sequence[str]) -> bool:
    """Return whether the arguments name no command but at most an existing file or folder, or a profile."""
    if not arguments or arguments[0] == "--profile":
        return True
    word = arguments[0]
    return not word.startswith("-") and Path(word).exists() and word not in command_names()


def run_command(arguments: Sequence[str]) -> int:
    """Run a command of the command line; return its exit code."""
    import typer

    with _stoppable():
        try:
            _choose_torch()
            group = typer.main.get_command(build_app())
            _guard(group, as_json="--json" in arguments)
            group.main(args=list(arguments), prog_name="coordlabel")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        except KeyboardInterrupt:  # before a command has begun
            return _cancelled()
    return 0


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM stop a command as Ctrl+C does: in order, with what is done on disk."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if asked and together:
            return  # torchrun passes on what the terminal has sent to all already
        asked.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _cancelled() -> int:
    sys.stderr.write("\nCancelled.\n")
    return 130


def _choose_torch() -> None:
    """Let this process use the build of PyTorch that was chosen in the window, if it fits this program."""
    import importlib.metadata

    from app.commands.catalogue import own_models_folder
    from app.services.gpu.active import adopt

    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        adopt(own_models_folder().parent, importlib.metadata.version("torch"))
    use_torch_folder()


def command_names() -> frozenset[str]:
    """Return the names of all commands."""
    import typer

    group: Any = typer.main.get_command(build_app())
    return frozenset(group.commands)


@functools.cache
def build_app() -> typer.Typer:
    """Return the command line application with all commands."""
    import typer

    app = typer.Typer(
        help=ABOUT,
        no_args_is_help=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        version: bool = typer.Option(False, "--version", help="Show the version and exit."),
    ) -> None:
        if version:
            typer.echo(f"coordlabel {__version__}")
            raise typer.Exit

    for name in MODULES:
        importlib.import_module(f"app.commands.{name}").register(app)
    return app


def _guard(command: Any, *, as_json: bool) -> None:
    """Turn, in a command and all below it, what a user can cause into a message and an exit code."""
    for below in getattr(command, "commands", {}).values():
        _guard(below, as_json=as_json)
    if command.callback is not None:
        command.callback = _guarded(command.callback, as_json=as_json)


def _guarded(callback: Callable[..., Any], *, as_json: bool) -> Callable[..., Any]:
    import typer

    @functools.wraps(callback)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*args, **kwargs)
        except CoordError as error:
            report(error, as_json=as_json)
            raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from error
        except KeyboardInterrupt:
            raise typer.Exit(_cancelled()) from None
        except BrokenPipeError:  # whoever reads stdout has seen enough: typer ends the command
            raise
        except OSError as error:
            report(_of_system(error), as_json=as_json)
            raise typer.Exit(1) from error

    return call


def _of_system(error: OSError) -> CoordError:
    """Return in words what the system has refused."""
    what = error.strerror or str(error) or type(error).__name__
    return DataError(
        f"{error.filename}: {what}" if error.filename else what,
        expected="files and folders that can be read and written",
        remedy="check the path and its permissions",
    )


def report(error: CoordError, *, as_json: bool) -> None:
    """Say what was found, expected and can be done: on stderr, with ``--json`` on stdout too."""
    sys.stderr.write(f"Error: {error}\n")
    if as_json:
        from app.commands.output import print_json

        parts = {"found": error.found, "expected": error.expected, "remedy": error.remedy}
        print_json({"event": "error", "kind": type(error).__name__, **parts})
