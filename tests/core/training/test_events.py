from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from coordgan_core.training import events as ev


def test_an_event_is_one_json_line() -> None:
    event = ev.Progress("gan", 8, 40, 2.5, 12.8, 3.0, {"loss": 0.5, "r1": math.nan})
    line = ev.to_json(event)
    assert "\n" not in line
    assert json.loads(line) == {
        "event": "progress",
        "stage": "gan",
        "nimg": 8,
        "total_nimg": 40,
        "images_per_second": 2.5,
        "seconds_left": 12.8,
        "active_sec": 3.0,
        "scalars": {"loss": 0.5, "r1": None},
    }


@pytest.mark.parametrize(
    "event",
    [
        ev.Started(Path("runs/1"), "quick-64", ("embedding", "joint"), 70, "cpu", 1, resumed=False),
        ev.SnapshotWritten(Path("a"), Path("b"), "gan", 3),
        ev.BatchHalved(8, 4, 16),
        ev.Paused("joint", 4, "pause"),
    ],
)
def test_events_come_back_from_json(event: ev.Event) -> None:
    assert ev.from_dict(json.loads(ev.to_json(event))) == event


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len(ev._KINDS) == len(ev.Event.__subclasses__()) >= 17
    assert ev._KINDS["stage_finished"] is ev.StageFinished


@pytest.mark.parametrize("values", [{}, {"event": "teleported"}, {"event": "paused", "stage": "gan"}])
def test_unknown_or_incomplete_events_are_none(values: dict[str, object]) -> None:
    assert ev.from_dict(values) is None
