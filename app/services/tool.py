"""One command of this program in a process of its own, whose JSON lines are told in the window's thread."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment

from app.processes import child_environment, command

_ERROR_TAIL = 4000
_END_MS = 2000


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
        self._process: QProcess | None = None
        self._buffer, self._errors, self._told = b"", b"", ""

    @property
    def is_running(self) -> bool:
        """Whether a command runs."""
        return self._process is not None

    def start(self, *arguments: str) -> None:
        """Run ``coordlabel ARGUMENTS``."""
        self.cancel()
        process = QProcess(self)
        environment = QProcessEnvironment()
        for name, value in child_environment().items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_errors)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._failed)
        self._process, self._buffer, self._errors, self._told = process, b"", b"", ""
        program, *rest = command(*arguments)
        process.start(program, rest)

    def cancel(self) -> None:
        """End the command at once; nobody is told."""
        process, self._process = self._process, None
        if process is None:
            return
        for signal in (process.finished, process.errorOccurred):
            signal.disconnect()
        process.readyReadStandardOutput.disconnect()
        process.readyReadStandardError.disconnect()
        process.kill()
        process.waitForFinished(_END_MS)
        process.deleteLater()

    def _read(self) -> None:
        if self._process is None:
            return
        self._buffer += bytes(self._process.readAllStandardOutput().data())
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                continue  # something else that was printed
            if not isinstance(value, dict):
                continue
            if value.get("event") == "error":
                self._told = _sentence(value)
            else:
                self._on_event(value)

    def _read_errors(self) -> None:
        if self._process is not None:
            self._errors += bytes(self._process.readAllStandardError().data())
            self._errors = self._errors[-_ERROR_TAIL:]

    def _finished(self, code: int, _status: object = None) -> None:
        self._read()
        self._read_errors()
        process, self._process = self._process, None
        if process is None:
            return
        process.deleteLater()
        message = self._told
        if not message and code not in (0, 1):
            last = self._errors.decode(errors="replace").strip().splitlines()[-1:]
            message = f"The process ended with {code}. " + "".join(last)
        self._on_end(message)

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart and self._process is not None:
            process, self._process = self._process, None
            text = process.errorString()
            process.deleteLater()
            self._on_end(text)


def _sentence(value: dict[str, Any]) -> str:
    parts = [str(value.get("found", "")).rstrip(".")]
    if value.get("expected"):
        parts.append(f"Expected {str(value['expected']).rstrip('.')}")
    if value.get("remedy"):
        remedy = str(value["remedy"]).rstrip(".")
        parts.append(remedy[:1].upper() + remedy[1:])
    return ". ".join(parts) + "."
