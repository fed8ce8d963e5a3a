"""The service behind Explore: lines that forget former questions, caches, files; and the real engine once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QImage

from app.services.engine import EngineClient
from app.services.explore import ExploreService, Source, images_in, write_picture
from coordgan_core.engine.protocol import Reply
from coordgan_core.errors import ConfigError, DiskFullError
from resources import bundled_model, sample_project
from tests.app.conftest import WaitUntil, write_images


class StillEngine(EngineClient):
    """Keeps questions; the test answers."""

    def __init__(self) -> None:
        super().__init__(command=["none"])
        self.questions: list[dict[str, Any]] = []
        self.cancelled: list[int] = []
        self.released: list[Reply] = []

    def request(self, verb: str, params: Any = None, arrays: Any = None, **callbacks: Any) -> int:  # type: ignore[override]
        self.questions.append({"params": params, **callbacks})
        return len(self.questions)

    def cancel(self, request_id: int) -> None:
        self.cancelled.append(request_id)

    def release(self, reply: Reply) -> None:
        self.released.append(reply)


@pytest.fixture
def engine(qapp: object) -> Iterator[StillEngine]:
    made = StillEngine()
    yield made
    made.deleteLater()


@pytest.fixture
def service(engine: StillEngine) -> Iterator[ExploreService]:
    made = ExploreService(engine)
    yield made
    made.close()
    made.deleteLater()


def event(**data: Any) -> Reply:
    return Reply(1, "event", data=data, arrays={"image": np.zeros((2, 2, 3), np.uint8)}, segments=("s",))


def test_a_new_question_cancels_the_former_and_its_late_answers_are_dropped(
    service: ExploreService, engine: StillEngine
) -> None:
    asker, told = service.asker(), []
    asker.ask("grid", {}, on_event=lambda data, *_: told.append(data["n"]))
    asker.ask("grid", {}, on_event=lambda data, *_: told.append(data["n"]))
    assert engine.cancelled == [1]
    late, now = event(n=1), event(n=2)
    engine.questions[0]["on_event"](late)
    engine.questions[1]["on_event"](now)
    assert told == [2]
    assert engine.released == [late, now], "shared memory is given back either way"
    engine.questions[0]["on_done"](Reply(1, "done"))
    assert asker.is_busy, "a former answer does not end the present question"
    engine.questions[1]["on_done"](Reply(2, "done"))
    assert not asker.is_busy


def test_of_several_that_wait_only_the_last_is_asked(service: ExploreService, engine: StillEngine) -> None:
    asker = service.asker()
    for n in range(5):
        asker.ask_after("walk", {"n": n})
    assert [q["params"]["n"] for q in engine.questions] == [0]
    engine.questions[0]["on_error"]("it failed")
    assert [q["params"]["n"] for q in engine.questions] == [0, 4]
    asker.cancel()
    engine.questions[1]["on_done"](Reply(2, "done"))
    assert len(engine.questions) == 2
    assert engine.cancelled == [2]


def test_another_model_forgets_maps_and_cancels(service: ExploreService, engine: StillEngine) -> None:
    service.set_model("a")
    data = {"maps": True, "encodes": False, "draws": False, "resolution": 64}
    engine.questions[0]["on_done"](Reply(1, "done", data=data))
    assert service.abilities is not None
    assert not service.abilities.encodes
    source, picture = Source(Path("x.png")), QImage(2, 2, QImage.Format.Format_RGB888)
    arrays = {"map": np.zeros((2, 4, 4), np.float16), "reliability": np.ones((4, 4), np.float16)}
    pictures = {"image": picture, "colours": picture}
    assert service.take_map(source, pictures, Reply(1, "event", arrays=arrays)) is not None
    assert service.take_map(source, pictures, Reply(1, "event")) is None, "no map, no item"
    asker = service.asker()
    asker.ask("maps", {})
    service.set_model("b")
    assert service.map_of(source) is None
    assert service.abilities is None
    assert engine.cancelled == [2]
    engine.questions[-1]["on_error"]("b is damaged")
    assert service.problem == "b is damaged"


def test_thumbnails_come_and_broken_files_give_none(
    service: ExploreService, tmp_path: Path, wait_until: WaitUntil
) -> None:
    good = Source(write_images(tmp_path, 1, width=300, height=100)[0])
    (tmp_path / "bad.png").write_bytes(b"bad")
    bad = Source(tmp_path / "bad.png")
    assert service.thumbnail(good) is None
    assert service.thumbnail(bad) is None
    wait_until(lambda: service.thumbnail(good) is not None and service.thumbnail(bad) is not None)
    found, none = service.thumbnail(good), service.thumbnail(bad)
    assert found is not None
    assert (found.width(), found.height()) == (96, 32)
    assert none is not None
    assert none.isNull()


def test_images_are_found_in_files_and_folders(tmp_path: Path) -> None:
    inside = write_images(tmp_path / "folder", 3)
    alone = write_images(tmp_path / "other", 1)[0]
    (tmp_path / "note.txt").write_text("no")
    assert images_in([tmp_path / "folder", tmp_path / "note.txt", alone], 10) == [*inside, alone]
    assert images_in([tmp_path / "folder", alone], 2) == inside[:2]


def test_pictures_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    picture = QImage(4, 3, QImage.Format.Format_RGB32)
    picture.fill(0)
    assert Path(write_picture(picture, tmp_path / "new/a.png")).read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ConfigError, match="too large"):
        write_picture(QImage(), tmp_path / "b.png")
    with pytest.raises(DiskFullError):
        write_picture(picture, tmp_path / "new")
    assert sorted(p.name for p in tmp_path.rglob("*.png")) == ["a.png"]


@pytest.mark.slow
def test_the_real_engine_swaps_the_sample_images(qapp: object, wait_until: WaitUntil) -> None:
    client = EngineClient(device="cpu")
    service = ExploreService(client)
    try:
        service.set_model(str(bundled_model("sample")))
        wait_until(lambda: service.abilities is not None or service.problem, timeout_sec=120)
        assert service.abilities is not None, service.problem
        assert service.abilities.encodes
        files = sorted((sample_project() / "images").iterdir())[:3]
        sources = [Source(path).to_params() for path in files]
        cells: dict[tuple[int, int], QImage] = {}
        done: list[object] = []

        def take(data: dict[str, Any], pictures: dict[str, QImage], _reply: Reply) -> None:
            if data["event"] == "cell":
                cells[data["row"], data["column"]] = pictures["image"]

        asker = service.asker()
        params = {"rows": sources[:2], "columns": sources, "rows_are": "structure"}
        asker.ask("grid", params, on_event=take, on_done=lambda *_: done.append(1), on_error=done.append)
        wait_until(lambda: done, timeout_sec=60)
        assert done == [1]
        assert set(cells) == {(r, c) for r in range(2) for c in range(3)}
        assert all(cell.width() == service.abilities.resolution for cell in cells.values())
        assert cells[0, 0] != cells[0, 1] != cells[1, 1]
    finally:
        service.close()
        client.stop()
        client.deleteLater()
        service.deleteLater()
