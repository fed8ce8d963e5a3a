"""Translations: texts of tables are marked here and translated where they are shown."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLocale, QTranslator

CONTEXT = "CoordLabel"


def mark(text: str) -> str:
    """Return ``text`` unchanged: it is translated by `translated` when it is shown."""
    return text


def translated(text: str) -> str:
    """Return a marked text in the language of the window."""
    return QCoreApplication.translate(CONTEXT, text)


def folder() -> Path:
    """Return where the ``coordlabel_<language>.qm`` files lie."""
    import resources

    return Path(resources.__file__).parent / "translations"


def install(application: QCoreApplication, language: str = "") -> QTranslator | None:
    """Install the translation of ``language`` (empty: the system's); None where there is none."""
    locale = QLocale(language) if language else QLocale.system()
    translator = QTranslator(application)
    if not translator.load(locale, "coordlabel", "_", str(folder())):
        translator.deleteLater()
        return None
    application.installTranslator(translator)
    return translator
