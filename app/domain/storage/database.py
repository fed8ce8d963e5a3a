"""The SQLite file of a project: connections for any thread, one writer, migrations with a backup."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.domain.storage.schema import MIGRATIONS, Migration
from coordgan_core.errors import DataError, DiskFullError
from coordgan_core.files import atomic_path

BUSY_SEC = 10.0
"""How long to wait for another process that is writing."""

_FAULTS = (sqlite3.Error, UnicodeDecodeError)
"""What sqlite3 raises; the second where even the message of a damaged file is damaged."""


class Database:
    """A project database in write-ahead mode; every method may be called from any thread.

    A transaction is on disk, synced, when `write` ends.

    Raises:
        DataError: The file is damaged, foreign, or of a newer version of the program.
        DiskFullError: It cannot be made or brought up to date.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, migrations: Sequence[Migration] = MIGRATIONS
    ) -> None:
        self.path = path
        self.read_only = read_only
        self._migrations = migrations
        self._write_lock = threading.RLock()
        self._pool_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._all: list[sqlite3.Connection] = []
        self._closed = False
        try:
            self._writer = None if read_only else self._connect(writer=True)
            with self._reading():
                pass
            if self._writer is not None:
                self._migrate(self._writer)
            self._check_version()
        except _FAULTS as error:
            self.close()
            raise _translated(error, path) from error
        except BaseException:
            self.close()
            raise

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query.

        Raises:
            DataError: The file is damaged or was closed.
        """
        with self._reading() as connection:
            return connection.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, None if there is none."""
        with self._reading() as connection:
            row: tuple[Any, ...] | None = connection.execute(sql, values).fetchone()
            return row

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Yield the writing connection inside one transaction, which is on disk when the block ends well.

        Raises:
            DiskFullError: The disk is full or not writable; nothing of the block was kept.
            DataError: The database is damaged, busy for too long, or open for reading only.
        """
        with self._write_lock:
            if self._writer is None or self._closed:
                raise DataError(
                    f"{self.path} is open for reading only", remedy="close the other window first"
                )
            if self._writer.in_transaction:  # a block within a block belongs to it
                yield self._writer
                return
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise _translated(error, self.path) from error
            except BaseException:
                self._roll_back()
                raise

    def close(self) -> None:
        """Close all connections; more than once is harmless."""
        with self._write_lock, self._pool_lock:
            self._closed = True
            for connection in self._all:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
            self._all.clear()
            self._idle.clear()

    def _roll_back(self) -> None:
        if self._writer is not None and self._writer.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._pool_lock:
            if self._closed:
                raise DataError(f"{self.path} was closed", remedy="open the project again")
            connection = self._idle.pop() if self._idle else self._connect(writer=False)
        try:
            yield connection
        except _FAULTS as error:
            raise _translated(error, self.path) from error
        finally:
            with self._pool_lock:
                if not self._closed:
                    self._idle.append(connection)

    def _connect(self, *, writer: bool) -> sqlite3.Connection:
        mode = "rwc" if writer else ("ro" if self.read_only else "rw")
        connection = self._opened(f"mode={mode}")
        try:
            connection.execute("PRAGMA trusted_schema=OFF")  # the file may come from anywhere
            if writer:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if not self.read_only:
                raise
            # a folder that cannot be written to has no place for the shared-memory file
            connection = self._opened("mode=ro&immutable=1")
        except sqlite3.Error:
            connection.close()
            raise
        self._all.append(connection)
        return connection

    def _opened(self, options: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{options}",
            uri=True,
            timeout=BUSY_SEC,
            isolation_level=None,
            check_same_thread=False,
        )

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        newest = len(self._migrations)
        if version >= newest:
            return
        if version > 0:
            self._back_up(connection, version)
        for step in range(version, newest):
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._migrations[step](connection)
                connection.execute(f"PRAGMA user_version={step + 1}")
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    def _back_up(self, connection: sqlite3.Connection, version: int) -> None:
        """Keep a copy of the older file; one that a crash has cut off is made anew, never taken for whole."""
        target = self.path.with_name(f"{self.path.name}.version-{version}.bak")
        with atomic_path(target) as temporary, contextlib.closing(sqlite3.connect(temporary)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without another beside it

    def _check_version(self) -> None:
        row = self.one("PRAGMA user_version")
        version = int(row[0]) if row else 0
        if version > len(self._migrations):
            raise DataError(
                f"{self.path} has version {version}",
                expected=f"version {len(self._migrations)} or older",
                remedy="update the program; the project was made by a newer one",
            )
        if version == 0:
            raise DataError(f"{self.path} is no project", remedy="open the folder of images instead")


def _translated(error: Exception, path: Path) -> DataError | DiskFullError:
    text = str(error)
    if any(word in text for word in ("full", "readonly", "read-only", "disk I/O", "unable to open")):
        return DiskFullError(
            f"{path} could not be written ({text})",
            expected="a writable folder with free space",
            remedy="free some space or check the permissions; what was saved before is safe",
        )
    if "locked" in text or "busy" in text:
        return DataError(
            f"{path} is in use by another program ({text})", remedy="close the other program and try again"
        )
    return DataError(
        f"{path} is damaged ({text})",
        expected="a project database",
        remedy="rename it and open the folder again: the label maps beside it are kept",
    )
