"""The model list: cards, what can be done with a model, and two models compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QBuffer, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QInputDialog, QLabel, QMessageBox

from app.services.model_library import ComparedModel, Comparison, ModelEntry
from app.services.training_values import RunState, RunView
from app.ui.pages.train.compare import CompareDialog, verdict
from app.ui.pages.train.model_card import facts_of
from app.ui.pages.train.models_view import ModelsView
from app.ui.pages.train.page import TrainPage
from app.ui.widgets.figures import figure_title
from tests.app.ui.conftest import Wait
from tests.app.ui.train_fakes import FakeLibrary, FakeTraining, shown_page


def png() -> bytes:
    picture = QImage(40, 10, QImage.Format.Format_RGB32)
    picture.fill(0xFF8800)
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    picture.save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(buffer.data().data())


OWN = ModelEntry(
    "/m/wings.safetensors", "wings", Path("/m/wings.safetensors"), False, "wing", "quick-64", 64,
    "photographs", 340, "9f2c", "CC BY", created="2026-11-20T14:03:11", bytes=9_000_000, parameters=2_300_000,
    figures={"foreground_iou": 0.76}, strip=b"", card={"description": "dorsal"},
)  # fmt: skip
BUILTIN = replace(
    OWN, id="/b/figures.safetensors", name="figures", builtin=True, category="figures", figures={}
)
BROKEN = replace(OWN, id="/m/x.safetensors", name="x", problem="The file is cut off: copy it again.")


@pytest.fixture
def page(qapp: object, tmp_path: Path) -> Iterator[TrainPage]:
    training, library = FakeTraining(), FakeLibrary()
    library.models = (replace(OWN, strip=png()), BUILTIN, BROKEN)
    with shown_page(training, library, tmp_path / "profile") as made:
        made.show_place("models")
        yield made


@pytest.fixture
def view(page: TrainPage) -> ModelsView:
    return page.models_view


@pytest.fixture
def library(page: TrainPage) -> FakeLibrary:
    assert isinstance(page.library, FakeLibrary)
    return page.library


def test_a_card_tells_what_there_is_to_know(view: ModelsView, wait_until: Wait) -> None:
    assert list(view.cards) == [OWN.id, BUILTIN.id, BROKEN.id]
    wait_until(lambda: not view.detail.strip.image.isNull())
    assert view.detail.name.text() == "wings"
    assert view.detail.editors["licence"].text() == "CC BY"
    QTest.keyClick(view.cards[BUILTIN.id], Qt.Key.Key_Return)
    assert view.detail.name.text() == "figures"
    assert view.detail.rename.isHidden()
    assert view.detail.delete.isHidden()
    assert view.detail.card.isHidden(), "what ships with the program is not rewritten"
    assert view.detail.description.text() == "dorsal"
    view.choose(BROKEN.id)
    assert view.detail.problem.text == "The file is cut off: copy it again."


def test_rename_export_import_and_card_reach_the_library(
    view: ModelsView, library: FakeLibrary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(QInputDialog, "getText", lambda *a, **k: (" fine wings ", True))
    view.detail.rename.click()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(tmp_path / "copy"), ""))
    view.detail.export.click()
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *a, **k: (str(tmp_path / "new.safetensors"), "")
    )
    view.bring.click()
    view.detail.editors["category"].setText("left wing")
    view.detail.editors["category"].editingFinished.emit()
    assert library.asked == [
        ("rename", OWN.id, "fine wings"),
        ("export", OWN.id, tmp_path / "copy.safetensors"),
        ("import", tmp_path / "new.safetensors"),
        ("describe", OWN.id, {"category": "left wing"}),
    ]


def test_deleting_asks_first(view: ModelsView, library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "warning", lambda *a, **k: answers.pop(0))
    view.detail.delete.click()
    assert library.asked == []
    view.detail.delete.click()
    assert library.asked == [("delete", OWN.id)]


def test_a_file_that_is_no_model_is_refused_in_words(view: ModelsView, library: FakeLibrary) -> None:
    library.failed.emit("old.pkl is no model file: choose a .safetensors file.")
    assert "no model file" in view.problem.text
    assert not view.problem.isHidden()


def test_an_imported_model_is_chosen(view: ModelsView, library: FakeLibrary) -> None:
    new = replace(OWN, id="/m/new.safetensors", name="new")
    library.models = (*library.models, new)
    library.imported.emit(new.id)
    assert view.chosen == new.id
    assert view.detail.name.text() == "new"


def test_a_finished_run_leads_to_its_model_in_the_list(page: TrainPage, library: FakeLibrary) -> None:
    """Not to the first one: the file in the run's folder is not in the list, its copy is."""
    training = page.training
    assert isinstance(training, FakeTraining)
    published = Path(BROKEN.id)
    view = RunView(
        "run", "wings", Path("run"), RunState.FINISHED,
        model=Path("run/model.safetensors"), published=published,
    )  # fmt: skip
    training.put(view)
    page.show_place("run")
    page.run_panel.header.use.click()
    assert page.rail.current == "models"
    assert page.models_view.chosen == str(published)


def test_an_empty_list_leads_to_a_training(view: ModelsView, library: FakeLibrary, page: TrainPage) -> None:
    library.models = ()
    library.changed.emit()
    assert view.pages.currentIndex() == 1
    view.trainAsked.emit()
    assert page.rail.current == "new"


def test_two_models_are_measured_on_one_reviewed_set(
    view: ModelsView, library: FakeLibrary, tmp_path: Path
) -> None:
    labels = {f"{n}.jpg": tmp_path / f"{n}.png" for n in range(4)}
    dialog = CompareDialog(library, OWN.id, tmp_path, labels, ("0.jpg",))
    assert "3 reviewed images" in dialog.set_text.text()
    dialog.measure.click()
    assert library.asked[-1] == ("compare", (OWN.id, BUILTIN.id), tmp_path, labels, ("0.jpg",))
    assert not dialog.measure.isEnabled()
    library.compareProgress.emit(2, 6, "wings on 2.jpg")
    assert dialog.words.text() == "wings on 2.jpg"
    one = ComparedModel(OWN.id, "wings", 0.8, 0.71, 0.03, 12.0, {"vein": 0.6})
    other = ComparedModel(BUILTIN.id, "figures", 0.5, 0.4, 0.2, 15.0, {"vein": 0.2})
    library.compareDone.emit(Comparison(("0.jpg",), 3, (one, other)))
    texts = [dialog.table.item(line, 1).text() for line in range(dialog.table.rowCount())]
    assert texts == ["71.0%", "80.0%", "3.0%", "60.0%", "12"]
    assert dialog.table.item(0, 1).font().bold()
    assert not dialog.table.item(0, 2).font().bold()
    assert "wings is 31.0 points better" in dialog.notice.text
    dialog.close()
    dialog.deleteLater()


def test_a_comparison_says_what_is_missing(view: ModelsView, library: FakeLibrary, tmp_path: Path) -> None:
    for labels, references, word in (({}, (), "reference"), ({"0.jpg": tmp_path}, ("0.jpg",), "Accept")):
        dialog = CompareDialog(library, OWN.id, tmp_path, labels, references)
        assert word in dialog.notice.text
        assert not dialog.measure.isEnabled()
        dialog.deleteLater()
    dialog = CompareDialog(library, OWN.id, tmp_path, {"0.jpg": tmp_path, "1.jpg": tmp_path}, ("0.jpg",))
    dialog.choices[1].setCurrentIndex(dialog.choices[0].currentIndex())
    assert not dialog.measure.isEnabled(), "a model is not compared with itself"
    library.compareFailed.emit("The engine ended: try again.")
    assert dialog.notice.text == "The engine ended: try again."
    dialog.reject()
    assert library.asked[-1] == ("cancel_compare",)
    dialog.deleteLater()


def test_a_tie_is_called_one() -> None:
    model = ComparedModel("a", "a", 0.5, 0.500, 0.0, 1.0, {})
    assert "same" in verdict(model, replace(model, foreground_iou=0.502), 50)


def test_a_model_for_research_use_is_marked_in_the_list_and_in_its_card(
    view: ModelsView, library: FakeLibrary
) -> None:
    card = {"trained_sec": 1800.0, "machine": "one core", "measured": "python quality.py"}
    figures = {"miou": 0.5, "miou_fused_faces-wide": 0.25}
    bound = replace(
        BUILTIN, name="cats", research_use=True, data_source="AFHQ, the cats", card=card, figures=figures
    )
    library.models = (OWN, bound)
    library.changed.emit()
    mark = view.cards[bound.id].findChild(QLabel, "research_use")
    assert mark is not None
    assert "AFHQ" in mark.toolTip()
    assert "research use" in view.cards[bound.id].accessibleName()
    assert view.cards[OWN.id].findChild(QLabel, "research_use") is None
    view.choose(bound.id)
    assert not view.detail.research.isHidden()
    assert "AFHQ, the cats" in view.detail.research.text
    facts = dict(facts_of(bound))
    assert facts["Use"] == "research use"
    assert facts["Trained for"] == "30 min, one core"
    assert facts["Measured by"] == "python quality.py"
    assert [figure_title(name) for name in figures] == [
        "label IoU",
        "label IoU, references fused (faces-wide)",
    ]
    view.choose(OWN.id)
    assert view.detail.research.isHidden()
