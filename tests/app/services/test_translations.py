"""From the texts of the window to another language on the screen."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import PySide6
import pytest
from PySide6.QtCore import QCoreApplication

from app.services import translations
from app.ui.texts import plural, tr
from benchmarks import make_translations

LRELEASE = Path(PySide6.__file__).parent / "lrelease"


def test_all_kinds_of_texts_are_collected() -> None:
    found = make_translations.texts()
    assert {"Undo", "File", "Overlay opacity", "propagated", "Image list"} <= set(found), "tables"
    assert "Export to {name}" in found
    assert {"{n} error", "{n} errors"} <= set(found), "both forms"
    source = "tr('a', n=1); plural(len(x), 'b', 'c'); other('d'); tr(variable); self.tr('e')"
    assert list(make_translations.literals(source)) == ["a", "b", "c"]


def test_translations_are_kept_when_the_file_is_renewed(tmp_path: Path) -> None:
    path = tmp_path / "coordlabel_de.ts"
    count = make_translations.write(path, "de")
    assert count == len(make_translations.texts())
    text = path.read_text(encoding="utf-8")
    undo = "<source>Undo</source>\n      <translation"
    assert undo in text
    path.write_text(
        text.replace(undo + ' type="unfinished" />', undo + ">Rückgängig</translation>"), encoding="utf-8"
    )
    assert make_translations.write(path, "de") == count - 1
    assert "Rückgängig" in path.read_text(encoding="utf-8")


@pytest.mark.skipif(not LRELEASE.exists(), reason="this PySide6 has no lrelease")
def test_every_text_reaches_the_screen_in_another_language(
    qapp: QCoreApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "coordlabel_de.ts"
    make_translations.write(path, "de")
    marked = re.sub(
        r"<source>([^<]*)</source>(\s*)<translation [^>]*/>",
        r"<source>\1</source>\2<translation>«\1»</translation>",
        path.read_text(encoding="utf-8"),
    )
    path.write_text(marked, encoding="utf-8")
    compiled = path.with_suffix(".qm")
    subprocess.run([str(LRELEASE), str(path), "-qm", str(compiled)], check=True, capture_output=True)
    monkeypatch.setattr(translations, "folder", lambda: tmp_path)
    installed = translations.install(qapp, "de")
    assert installed is not None
    try:
        assert tr("Undo") == "«Undo»"
        assert translations.translated("Overlay opacity") == "«Overlay opacity»"
        assert plural(1200, "{n} error", "{n} errors") == "«1,200 errors»"
        missing = [text for text in make_translations.texts() if tr(text) != f"«{text}»"]
        assert not missing
    finally:
        qapp.removeTranslator(installed)
        installed.deleteLater()
