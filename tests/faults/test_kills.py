"""A short campaign; and its judge notices what it is there for. The long one: ``python -m tests.faults``."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
from pathlib import Path

import pytest

from app.domain.project import Project
from tests.faults import campaign
from tests.faults.judge import judge_export, judge_project
from tests.faults.processes import Message, Victim

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="kill -9 is of POSIX"
)
KILLS = 12
QUICK = ("strokes", "window", "propagation", "merge", "import", "export", "creation", "migration")


def test_no_kill_loses_or_damages_anything(tmp_path: Path) -> None:
    scenes = {name: (1, campaign.SCENES[name][1]) for name in QUICK}
    report = campaign.run(tmp_path, kills=KILLS, seed=random.SystemRandom().randrange(1 << 30), scenes=scenes)
    assert report.problems == []
    assert (report.kills, report.lost, report.damaged) == (KILLS, 0, 0)
    assert report.committed > KILLS, "too little was going on to mean anything"
    assert set(report.by_scene) == set(QUICK)


@pytest.fixture
def painted(tmp_path: Path) -> tuple[Path, list[Message]]:
    """A project whose painter was killed, and what it had told."""
    folder = campaign.make_project(tmp_path)
    victim = Victim("tests.faults.strokes:paint", folder, 5)
    victim.wait_for("committed")
    victim.wait_for("committed")
    return folder, victim.kill_after(0.3)


def test_the_judge_notices_a_lost_stroke(painted: tuple[Path, list[Message]]) -> None:
    folder, messages = painted
    assert judge_project(folder, messages).lost == []
    last = [m for m in messages if m[0] == "committed"][-1]
    connection = sqlite3.connect(folder / "project.sqlite")
    connection.execute("DELETE FROM journal WHERE seq = ?", (last[2],))
    connection.commit()
    connection.close()
    assert f"stroke {last[2]} of image {last[1]}" in judge_project(folder, messages).lost


def test_the_judge_notices_changed_pixels_and_damage(painted: tuple[Path, list[Message]]) -> None:
    folder, messages = painted
    image = next(m[1] for m in messages if m[0] == "made")
    with Project.open(folder) as project:
        path = project.label_path(image)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert judge_project(folder, messages).damaged
    path.write_bytes(content)
    assert judge_project(folder, messages).damaged == []
    (folder / "labels/.half.part").write_bytes(b"")
    assert any("half files" in text for text in judge_project(folder, messages).damaged)


def test_the_judge_notices_a_half_exported_file(tmp_path: Path) -> None:
    folder = campaign.make_project(tmp_path)
    out = tmp_path / "out/index-png"
    out.mkdir(parents=True)
    (out / "a.png").write_bytes(b"\x89PNG half")
    verdict = judge_export(folder, [["wrote", [str(out / "a.png"), str(out / "b.png")]]])
    assert verdict.lost == [str(out / "b.png")]
    assert len(verdict.damaged) == 1
