"""The undo history as a pure model: entries without number, memory within a budget.

The values of an edit lie in the journal anyway; what exceeds the budget is dropped from memory, oldest
first, and read again when somebody goes back that far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.domain.edits import Edit


@dataclass
class _Entry:
    sequence: int
    text: str
    edit: Edit | None


@dataclass(frozen=True)
class Step:
    """One step to take: apply ``edit``; ``sequence`` is that of the stroke it takes back or does again."""

    sequence: int
    text: str
    edit: Edit


class UndoStack:
    """Undo and redo of one label map.

    Args:
        load: Reads an edit back by its journal sequence.
        budget_bytes: How many bytes of edits stay in memory.
    """

    def __init__(self, load: Callable[[int], Edit], *, budget_bytes: int = 256 << 20) -> None:
        self._load = load
        self._budget = budget_bytes
        self._done: list[_Entry] = []
        self._undone: list[_Entry] = []
        self._bytes = 0
        self.durable = 0
        """Journal sequence up to which edits can be read back; later ones stay in memory."""

    @property
    def nbytes(self) -> int:
        """Bytes of edits in memory."""
        return self._bytes

    @property
    def depth(self) -> tuple[int, int]:
        """How many steps can be undone and redone."""
        return len(self._done), len(self._undone)

    @property
    def undo_text(self) -> str:
        """Name of what `undo` would take back, empty where there is nothing."""
        return self._done[-1].text if self._done else ""

    @property
    def redo_text(self) -> str:
        """Name of what `redo` would do again, empty where there is nothing."""
        return self._undone[-1].text if self._undone else ""

    @property
    def last_sequence(self) -> int:
        """Journal sequence of what `undo` would take back, 0 where there is nothing."""
        return self._done[-1].sequence if self._done else 0

    def push(self, sequence: int, text: str, edit: Edit | None) -> None:
        """Add a stroke that has been done; what was undone before can no longer be redone."""
        self._bytes -= sum(entry.edit.nbytes for entry in self._undone if entry.edit)
        self._undone.clear()
        self._done.append(_Entry(sequence, text, edit))
        self._bytes += edit.nbytes if edit else 0
        self._spill()

    def undo(self) -> Step | None:
        """Move back by one and return what to apply, None at the beginning."""
        return self._move(self._done, self._undone, back=True)

    def redo(self) -> Step | None:
        """Move forward by one and return what to apply, None at the end."""
        return self._move(self._undone, self._done, back=False)

    def clear(self) -> None:
        """Forget everything."""
        self._done.clear()
        self._undone.clear()
        self._bytes = 0

    def restore(self, rows: Iterable[tuple[int, str, str, int]]) -> None:
        """Rebuild the history from the journal: rows ``(sequence, action, text, refers to)``, oldest first.

        Actions are ``do``, ``undo`` and ``redo``; the last two refer to the sequence of the stroke that
        they move.
        """
        self.clear()
        for sequence, action, text, refers in rows:
            if action == "do":
                self._done.append(_Entry(sequence, text, None))
                self._undone.clear()
            elif action == "undo" and self._done and self._done[-1].sequence == refers:
                self._undone.append(self._done.pop())
            elif action == "redo" and self._undone and self._undone[-1].sequence == refers:
                self._done.append(self._undone.pop())

    def _move(self, source: list[_Entry], target: list[_Entry], *, back: bool) -> Step | None:
        if not source:
            return None
        entry = source[-1]
        if entry.edit is None:
            entry.edit = self._load(entry.sequence)
            self._bytes += entry.edit.nbytes
        target.append(source.pop())
        edit = entry.edit.inverse() if back else entry.edit
        self._spill()
        return Step(entry.sequence, entry.text, edit)

    def _spill(self) -> None:
        # the ends far from the present go first
        for entry in (*self._done[:-1], *self._undone[:-1]):
            if self._bytes <= self._budget:
                return
            if entry.edit is not None and entry.sequence <= self.durable:
                self._bytes -= entry.edit.nbytes
                entry.edit = None
