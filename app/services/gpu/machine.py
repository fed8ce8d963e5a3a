"""Which graphics cards this computer has, as the driver tells it; nothing heavy is loaded for that."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_QUERY = "name,driver_version,memory.total,compute_cap"
_TIMEOUT_SEC = 20.0


@dataclass(frozen=True)
class Card:
    """A graphics card.

    Args:
        name: As the driver calls it.
        driver: Version of the driver.
        memory_mb: Its memory, 0 if unknown.
        capability: Its generation, such as 8.6; 0.0 if unknown.
    """

    name: str
    driver: str
    memory_mb: int = 0
    capability: float = 0.0


@dataclass(frozen=True)
class Machine:
    """The cards that can be used and, where there is none, the reason."""

    cards: tuple[Card, ...] = ()
    problem: str = ""


def look(ask: Callable[[], str] | None = None, *, system: str = sys.platform) -> Machine:
    """Return the cards of this computer; takes up to seconds: call it in a worker.

    Args:
        ask: Returns what the driver's tool prints; runs it if None.
        system: As `sys.platform` names it.
    """
    if system == "darwin":
        return Machine(problem="On macOS models are computed on the processor.")
    try:
        text = (ask or _ask_driver)()
    except FileNotFoundError:
        return Machine(problem="No driver of an NVIDIA graphics card was found.")
    except (OSError, subprocess.SubprocessError) as error:
        return Machine(problem=f"The driver of the graphics card does not answer ({error}).")
    cards = tuple(card for line in csv.reader(text.splitlines()) if (card := _card(line)) is not None)
    return Machine(cards, "" if cards else "The driver knows of no graphics card.")


def _card(values: list[str]) -> Card | None:
    if len(values) < 2 or not values[0].strip():
        return None
    name, driver, memory, capability = [value.strip() for value in [*values, "", ""][:4]]
    return Card(name, driver, int(_number(memory)), _number(capability))


def _number(text: str) -> float:
    try:
        return float(text.split()[0])
    except (ValueError, IndexError):
        return 0.0


def _ask_driver() -> str:
    tool = shutil.which("nvidia-smi") or _windows_tool()
    if tool is None:
        raise FileNotFoundError("nvidia-smi")
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    done = subprocess.run(
        [tool, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SEC,
        check=True,
        creationflags=flags,
    )
    return done.stdout


def _windows_tool() -> str | None:
    path = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvidia-smi.exe")
    return str(path) if path.exists() else None
