"""The sample project in places where installers put it."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QWidget

import resources
from app.domain.project import Project
from app.domain.status import Status
from app.services.sample import prepare_sample
from app.ui.theme import stylesheet
from app.ui.theme.tokens import DARK, LIGHT, Tokens


def test_the_copy_can_be_worked_on_though_the_installed_one_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    shutil.copytree(resources.sample_project(), installed)
    for path in (*installed.rglob("*"), installed):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr(resources, "sample_project", lambda: installed)
    images = prepare_sample(tmp_path / "copy")
    for path in (images, *images.rglob("*")):
        assert path.stat().st_mode & stat.S_IWUSR, path
    with Project.open(images) as project:
        assert project.count() == 24
        assert project.counts()[Status.REFERENCE] == 1
    for path in (installed, *installed.rglob("*")):
        path.chmod(0o755)


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=lambda t: t.name)
def test_the_window_is_styled_when_installed_in_an_odd_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication, tokens: Tokens
) -> None:
    odd = tmp_path / "Smoke tést 試験 folder (x86)"
    shutil.copytree(resources.resource_path("icons"), odd / "icons")
    monkeypatch.setattr(stylesheet, "resource_path", lambda name: odd / name)
    made = QWidget()
    made.setStyleSheet(stylesheet.build_stylesheet(tokens))  # what Qt cannot read it complains about
    made.ensurePolished()
    made.deleteLater()
