"""What the benchmarks share: the machine a figure belongs to, tables for people, JSON for programs."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure of a report; ``bar`` must be reached, ``aim`` is hoped for."""

    what: str
    measured: str
    bar: str = ""
    aim: str = ""


def machine() -> dict[str, Any]:
    """Return what a figure must be read with: processor, threads, versions, date, and how busy it was."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load_1min": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def print_report(title: str, rows: Iterable[Row], about: Mapping[str, Any]) -> None:
    """Print a table and the machine to stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in ("what", "measured", "bar", "aim"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for row in rows:
        table.add_row(row.what, row.measured, row.bar, row.aim)
    if table.row_count:
        console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in about.items() if value not in ("", None)))
    busy, cores = about.get("load_1min") or 0.0, about.get("usable_cores") or 1
    if busy > cores + 0.5:
        console.print(f"Other programs were running (load {busy} on {cores} cores): times are too long.")


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object as one line to stdout; what is not a number becomes null."""
    sys.stdout.write(json.dumps(_plain(value), allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value
