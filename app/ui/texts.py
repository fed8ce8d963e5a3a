"""Translate the texts of the interface; every word a person reads passes through here."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

CONTEXT = "CoordLabel"


def tr(text: str, **values: object) -> str:
    """Return `text` in the language of the interface, with `{name}` fields filled in.

    Args:
        text: English source text; the key of the translation.
        values: Values of the fields; formatted after the translation so that their order may differ.

    Example:
        >>> tr("{count} images", count=3)
        '3 images'
    """
    translated = QCoreApplication.translate(CONTEXT, text)
    return translated.format(**values) if values else translated


def plural(count: int, one: str, many: str) -> str:
    """Return `one` or `many` translated, with `{n}` replaced by the grouped count."""
    return tr(one if count == 1 else many, n=f"{count:,}")


def duration(seconds: float) -> str:
    """Return a length of time as people say it: `8 s`, `3 min`, `1 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return tr("{n} s", n=whole)
    minutes = round(whole / 60)
    if minutes < 60:
        return tr("{n} min", n=minutes)
    if minutes % 60 == 0:
        return tr("{h} h", h=minutes // 60)
    return tr("{h} h {m} min", h=minutes // 60, m=minutes % 60)
