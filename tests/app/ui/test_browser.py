"""The browser: a correct Qt model, no per-row work, search, selection, thumbnails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester, QTest
from PySide6.QtWidgets import QApplication

from app.domain.project import Project, Sort
from app.domain.search import SearchError
from app.domain.status import Status
from app.services.thumbnails import ThumbnailLoader
from app.ui.panels.browser_delegate import subtitle
from app.ui.panels.browser_model import ID_ROLE, ROW_ROLE, BrowserModel
from app.ui.panels.browser_panel import BrowserPanel, completions
from tests.app.conftest import write_images

STRICT = QAbstractItemModelTester.FailureReportingMode.Fatal


@pytest.fixture
def model(qapp: QApplication, project: Project) -> Iterator[BrowserModel]:
    made = BrowserModel(project)
    tester = QAbstractItemModelTester(made, STRICT)
    made.load()
    yield made
    tester.deleteLater()
    made.deleteLater()


@pytest.fixture
def panel(qapp: QApplication, project: Project) -> Iterator[BrowserPanel]:
    thumbnails = ThumbnailLoader(project)
    made = BrowserPanel(project, thumbnails)
    made.resize(340, 500)
    made.load()
    made.show()
    qapp.processEvents()
    yield made
    thumbnails.close()
    thumbnails.deleteLater()
    made.close()
    made.deleteLater()


def test_rows_are_the_images_by_name(model: BrowserModel) -> None:
    names = [model.index(i).data() for i in range(model.rowCount())]
    assert names == [f"image{i}.png" for i in range(6)]
    assert model.index(2).data(ID_ROLE) == model.ids[2]
    assert model.index(2).data(ROW_ROLE).path == "image2.png"
    assert model.rowCount(model.index(0)) == 0
    assert model.data(QModelIndex()) is None


def test_searches_sorts_and_refuses_nonsense_without_losing_the_list(
    model: BrowserModel, project: Project
) -> None:
    project.set_status([int(model.ids[3])], Status.ACCEPTED)
    model.set_query("status:accepted")
    assert model.rowCount() == 1
    with pytest.raises(SearchError):
        model.set_query("status:purple")
    assert model.query == "status:accepted"
    assert model.rowCount() == 1
    model.set_query("")
    model.set_sort(Sort.NAME, descending=True)
    assert model.index(0).data() == "image5.png"


def test_places_are_found_and_unknown_ids_are_not(model: BrowserModel) -> None:
    ids = [int(i) for i in model.ids]
    assert [model.row_of(i) for i in ids] == list(range(6))
    assert model.row_of(10**9) == -1
    assert sorted(model.rows_of([ids[4], 10**9, ids[1]])) == [1, 4]


def test_new_images_at_the_end_are_inserted_and_the_selection_stays(
    model: BrowserModel, project: Project, images: Path
) -> None:
    inserted: list[tuple[int, int]] = []
    model.rowsInserted.connect(lambda _parent, first, last: inserted.append((first, last)))
    write_images(images, 8)
    list(project.scan())
    model.load()
    assert inserted == [(6, 7)]


def test_a_refreshed_row_is_read_again(model: BrowserModel, project: Project) -> None:
    image = int(model.ids[1])
    assert model.index(1).data(ROW_ROLE).status is Status.UNLABELLED
    project.set_status([image], Status.REJECTED)
    assert model.index(1).data(ROW_ROLE).status is Status.UNLABELLED, "kept until somebody says it changed"
    model.refresh([image])
    assert model.index(1).data(ROW_ROLE).status is Status.REJECTED
    assert subtitle(model.index(1).data(ROW_ROLE)) == "rejected"


class LongProject:
    """A project of 100,000 images that counts how many rows it is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def ids(self, query: str, sort: Sort, *, descending: bool) -> np.ndarray:
        return np.arange(100_000, dtype=np.int64)

    def rows(self, ids: list[int]) -> list[object]:
        self.asked += len(ids)
        return []


def test_a_long_list_is_read_only_where_somebody_looks(qapp: QApplication) -> None:
    project = LongProject()
    model = BrowserModel(project)  # type: ignore[arg-type]
    model.load()
    assert model.rowCount() == 100_000
    assert project.asked == 0
    for row in (*range(50_000, 50_030), 99_999):
        model.index(row).data()
    assert project.asked <= 3 * 64
    assert model.row_of(77_777) == 77_777
    signals: list[object] = []
    model.dataChanged.connect(lambda *_: signals.append(1))
    model.refresh(range(50_000))
    assert len(signals) == 1, "many changed rows are one signal"
    model.deleteLater()


def test_typing_searches_and_says_what_is_wrong(panel: BrowserPanel) -> None:
    panel.search.setText("image4")
    panel.apply_search()
    assert panel.model.rowCount() == 1
    panel.search.setText("status:purple")
    panel.apply_search()
    assert panel._error.isVisible()
    assert panel._error.text()
    panel.search.setText("no such image")
    panel.apply_search()
    assert panel.model.rowCount() == 0
    assert not panel._error.isVisible()
    assert panel._empty.isVisible()


def test_the_selection_survives_another_order(panel: BrowserPanel) -> None:
    chosen = [int(panel.model.ids[i]) for i in (1, 4)]
    panel._select(chosen)
    panel.load()
    assert sorted(panel.selected_ids()) == chosen


def test_another_image_in_view_is_the_only_one_selected_whatever_key_is_held(panel: BrowserPanel) -> None:
    ids = [int(i) for i in panel.model.ids]
    panel.show_current(ids[0])
    panel.show()
    QTest.keyPress(panel, Qt.Key.Key_Control, Qt.KeyboardModifier.ControlModifier)
    try:
        assert QApplication.keyboardModifiers() & Qt.KeyboardModifier.ControlModifier
        panel.show_current(ids[2])  # as Ctrl+R does, which opens the review
    finally:
        QTest.keyRelease(panel, Qt.Key.Key_Control)
    assert panel.selected_ids() == [ids[2]]


def test_neighbours_end_with_the_list(panel: BrowserPanel) -> None:
    ids = [int(i) for i in panel.model.ids]
    panel.show_current(ids[0])
    assert panel.neighbour(-1) is None
    assert panel.neighbour(1) == ids[1]
    panel.show_current(ids[-1])
    assert panel.neighbour(1) is None


def test_list_and_grid_show_thumbnails(panel: BrowserPanel, wait_until, qapp: QApplication) -> None:  # type: ignore[no-untyped-def]
    loaded: set[int] = set()
    panel._thumbnails.ready.connect(loaded.add)
    panel.set_grid(True)
    panel.grab()
    wait_until(lambda: len(loaded) >= 4)
    assert set(panel.visible_ids()) >= loaded
    assert panel.view.visualRect(panel.model.index(1)).left() > 0, "side by side"
    panel.set_grid(False)
    panel.grab()
    first = panel.view.visualRect(panel.model.index(0))
    second = panel.view.visualRect(panel.model.index(1))
    assert second.top() == first.bottom() + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sta", ["status:"]),
        ("-sta", ["-status:"]),
        ("wing status:pro", ["wing status:propagated"]),
        ("status:accepted,rej", ["status:accepted,rejected"]),
        ("label:no", ["label:nose"]),
        ("wing", []),
    ],
)
def test_completing_a_word_keeps_the_rest_of_the_search(text: str, expected: list[str]) -> None:
    assert completions(text, len(text), ("background", "nose")) == expected


class CountingModel(BrowserModel):
    """Counts how often Qt asks for the number of rows: once for each item that it lays out."""

    asked = 0

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        CountingModel.asked += 1
        return super().rowCount(QModelIndex() if parent is None else parent)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    monkeypatch.setattr("app.ui.panels.browser_panel.BrowserModel", CountingModel)
    write_images(project.images_folder, 600, width=4, height=4)
    list(project.scan())


def test_a_changed_image_is_painted_anew_without_a_look_at_all_the_others(
    counted: None, panel: BrowserPanel, project: Project
) -> None:
    """Otherwise a propagation to 100,000 images lays out 100,000 items for each of them."""
    panel.view.grab()
    first = int(panel.model.ids[0])
    project.set_status([first], Status.ACCEPTED)
    before, CountingModel.asked = panel.view.viewport().grab().toImage(), 0
    panel.refresh([first])
    after = panel.view.viewport().grab().toImage()  # what waits to be laid out is laid out here at the latest
    assert 0 < CountingModel.asked < 200
    assert after != before
