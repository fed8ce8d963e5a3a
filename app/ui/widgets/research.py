"""The mark of a model whose training data allow research only."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

from app.ui.texts import tr
from app.ui.widgets.basics import label


def research_mark(data: str) -> QLabel:
    """Return the mark; its tooltip names the data."""
    made = label(tr("research use"), "warn")
    made.setObjectName("research_use")
    made.setToolTip(_why(data))
    made.setAccessibleName(f"{tr('research use')}: {_why(data)}")
    return made


def research_text(name: str, data: str) -> str:
    """Return what a person must know before using such a model."""
    return tr("{name} is for research use.", name=name) + " " + _why(data)


def _why(data: str) -> str:
    if not data:
        return tr("Its training data allow research only.")
    return tr("It was trained on data that allow research only: {data}.", data=data.rstrip("."))
