"""One command of this program in a process of its own, whose JSON lines are told in the window's thread."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject

from app.processes import command
from app.services.child import Child


class Tool(QObject):
    """Runs one command at a time; starting another drops the one that runs.

    Args:
        on_event: Called with each JSON object that the command writes.
        on_end: Called once at the end with a sentence that says what went wrong, empty if nothing did.
        parent: Qt parent.
    """

    def __init__(
        self,
        on_event: Callable[[dict[str, Any]], None],
        on_end: Callable[[str], None],
        *,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._on_event, self._on_end = on_event, on_end
        self._child: Child | None = None
        self._told = ""

    @property
    def is_running(self) -> bool:
        """Whether a command runs."""
        return self._child is not None

    def start(self, *arguments: str) -> None:
        """Run ``coordlabel ARGUMENTS``."""
        self.cancel()
        self._told = ""
        self._child = Child(command(*arguments), parent=self)
        self._child.lineRead.connect(self._take)
        self._child.ended.connect(self._ended)
        self._child.notStarted.connect(self._end)
        self._child.start()

    def cancel(self) -> None:
        """End the command at once; nobody is told."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _take(self, line: bytes) -> None:
        try:
            value = json.loads(line)
        except ValueError:
            return  # something else that was printed
        if not isinstance(value, dict):
            return
        if value.get("event") == "error":
            self._told = _sentence(value)
        else:
            self._on_event(value)

    def _ended(self, code: int, _crashed: object) -> None:
        message = self._told
        if not message and code not in (0, 1) and self._child is not None:
            last = self._child.errors().strip().splitlines()[-1:]
            message = f"The process ended with {code}. " + "".join(last)
        self._end(message)

    def _end(self, message: str) -> None:
        self.cancel()
        self._on_end(message)


def _sentence(value: dict[str, Any]) -> str:
    parts = [str(value.get("found", "")).rstrip(".")]
    if value.get("expected"):
        parts.append(f"Expected {str(value['expected']).rstrip('.')}")
    if value.get("remedy"):
        remedy = str(value["remedy"]).rstrip(".")
        parts.append(remedy[:1].upper() + remedy[1:])
    return ". ".join(parts) + "."
