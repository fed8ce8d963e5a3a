"""A process of this program that writes lines: they are told in the window's thread, and so is its end."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from app.processes import child_environment

_ERROR_BYTES = 4000  # the end of what it wrote to stderr, which is kept
_END_MS = 2000


class Child(QObject):
    """One process, which is heard until it ends or is closed.

    Args:
        command: Program and arguments.
        parent: Qt parent.
    """

    heard = Signal()
    """Something came; `lineRead` follows for each line that is whole now."""
    lineRead = Signal(object)  # noqa: N815 - bytes without the end of the line; never an empty one
    ended = Signal(int, bool)
    """Its exit code, and whether it crashed."""
    notStarted = Signal(str)  # noqa: N815 - why

    def __init__(self, command: Sequence[str], *, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._command = list(command)
        self._buffer, self._errors = bytearray(), b""
        self._process: QProcess | None = QProcess(self)
        environment = QProcessEnvironment()
        for name, value in child_environment().items():
            environment.insert(name, value)
        self._process.setProcessEnvironment(environment)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(self._on_finished)
        self._process.errorOccurred.connect(self._on_error)

    def start(self) -> None:
        """Start it; `notStarted` may come before this returns."""
        if self._process is not None:
            self._process.start(self._command[0], self._command[1:])

    def write(self, data: bytes) -> None:
        """Write to its standard input."""
        if self._process is not None:
            self._process.write(data)

    def close(self, farewell: bytes | None = None) -> None:
        """End it; nobody is told of anything any more.

        Args:
            farewell: What makes it end by itself; by force where it does not, or without one.
        """
        process, self._process = self._process, None
        if process is None:
            return
        process.blockSignals(True)
        if farewell is not None and _is_running(process):
            process.write(farewell)
            process.closeWriteChannel()
            process.waitForFinished(_END_MS)
        if _is_running(process):
            process.kill()
            process.waitForFinished(_END_MS)
        self.deleteLater()

    @property
    def process_id(self) -> int:
        """Number of the process, 0 where it does not run."""
        return 0 if self._process is None else int(self._process.processId())

    @property
    def unfinished_bytes(self) -> int:
        """How much of a line has come that has no end yet."""
        return len(self._buffer)

    def errors(self) -> str:
        """Return the end of what it has written to standard error."""
        self._read_errors()
        return self._errors.decode("utf-8", "replace")

    def _read(self) -> None:
        process = self._process
        if process is None:
            return
        self._buffer += process.readAllStandardOutput().data()
        *lines, self._buffer = self._buffer.split(b"\n")
        self.heard.emit()
        for line in lines:
            if self._process is not process:  # closed by whoever took the line before
                return
            if line.strip():
                self.lineRead.emit(bytes(line))

    def _read_errors(self) -> None:
        if self._process is not None:
            self._errors += bytes(self._process.readAllStandardError().data())
            self._errors = self._errors[-_ERROR_BYTES:]

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        if self._process is not None:
            self.ended.emit(code, status is QProcess.ExitStatus.CrashExit)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart and self._process is not None:
            self.notStarted.emit(self._process.errorString())


def _is_running(process: QProcess) -> bool:
    return process.state() is not QProcess.ProcessState.NotRunning
