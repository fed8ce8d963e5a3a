"""The window with the real engine process and its built-in stop-gap: nothing is faked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from app.domain.status import Status
from app.launch import Running
from app.services.job_values import JobState
from app.services.propagation import PropagationRequest
from tests.app.ui.conftest import Wait

pytestmark = pytest.mark.slow


def test_optical_flow_labels_the_sample_project(qapp: QApplication, tmp_path: Path, wait_until: Wait) -> None:
    had_torch = "torch" in sys.modules
    running = Running(qapp, tmp_path / "profile")
    try:
        running.show(None)
        running.window.open_sample()
        workspace = running.window.workspace
        assert workspace is not None
        wait_until(lambda: workspace.browser.model.rowCount() == 24)
        models: list[str] = []
        running.engine.models(lambda found: models.extend(m.id for m in found))
        wait_until(lambda: models, timeout_sec=60)
        assert "builtin:flow" in models
        project = workspace.project
        references = tuple(project.references())
        queries = tuple(int(i) for i in project.ids("") if int(i) not in references)[:4]
        job = running.window.flows.propagate(PropagationRequest("builtin:flow", references, queries))
        assert job is not None
        wait_until(lambda: running.jobs.view(job).is_over, timeout_sec=120)
        view = running.jobs.view(job)
        assert view.state is JobState.DONE, view.message
        assert not view.errors
        assert project.counts()[Status.PROPAGATED] == 4
        assert all(project.labels(i).any() for i in queries)
        assert had_torch or "torch" not in sys.modules
    finally:
        running.close()
        qapp.setStyleSheet("")
