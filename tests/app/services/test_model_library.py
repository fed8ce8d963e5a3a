from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from safetensors.torch import load_file

from app.services import model_files
from app.services.model_library import ModelLibrary, read_entries
from coordgan_core.errors import DataError, ModelError
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, inspect, save_model
from tests.app.conftest import WaitUntil
from tests.core.tiny import tiny_config

CARD = ModelCard(
    name="Faces",
    category="faces",
    preset="quick-64",
    data_count=70,
    data_fingerprint="ab",
    figures={"miou": 0.5},
    sample_strip="iVBORw==",
    extra={"later": [1]},
)


def write_model(path: Path, card: ModelCard = CARD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, CoordGAN(tiny_config().model), card)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models/Faces.safetensors")


@pytest.fixture
def library(tmp_path: Path, model: Path, qapp: QApplication) -> Iterator[ModelLibrary]:
    write_model(tmp_path / "bundled/cars.safetensors", ModelCard(name="cars"))
    made = ModelLibrary(tmp_path / "models", (tmp_path / "bundled",))
    yield made
    made.close()


def test_a_card_is_changed_and_tensors_are_not(model: Path) -> None:
    before = load_file(model)
    model_files.describe(model, licence="CC BY 4.0, © someone", category="Gesichter")
    info = inspect(model)
    assert (info.card.licence, info.card.category) == ("CC BY 4.0, © someone", "Gesichter")
    assert (info.card.figures, info.card.extra) == (CARD.figures, CARD.extra)
    after = load_file(model)
    assert before.keys() == after.keys()
    assert all(bool((before[name] == after[name]).all()) for name in before)
    with pytest.raises(ModelError, match="no text figures"):
        model_files.describe(model, figures="0.99")


def test_a_model_is_renamed_with_its_file(model: Path) -> None:
    other = write_model(model.with_name("Cars.safetensors"))
    with pytest.raises(ModelError, match="a model Cars already"):
        model_files.rename(model, "Cars")
    renamed = model_files.rename(model, " Faces: second/try ")
    assert renamed.name == "Faces- second-try.safetensors"
    assert inspect(renamed).card.name == "Faces: second/try"
    assert not model.exists()
    assert other.exists()
    with pytest.raises(ModelError, match="cannot be called"):
        model_files.rename(renamed, "../..")
    same = model_files.rename(renamed, "Faces- second-try")
    assert same == renamed
    assert same.exists()


def test_a_model_can_be_exported_without_pictures_of_its_training(model: Path, tmp_path: Path) -> None:
    model_files.export(model, tmp_path / "out.safetensors", strip=False)
    assert inspect(tmp_path / "out.safetensors").card.sample_strip == ""
    assert inspect(model).card.sample_strip == CARD.sample_strip
    model_files.export(model, tmp_path / "all.safetensors")
    assert (tmp_path / "all.safetensors").read_bytes() == model.read_bytes()
    with pytest.raises(DataError, match="the model itself"):
        model_files.export(model, model)


def test_only_models_of_the_user_are_deleted(model: Path, tmp_path: Path) -> None:
    elsewhere = write_model(tmp_path / "elsewhere/m.safetensors")
    with pytest.raises(ModelError, match="not one of your models"):
        model_files.delete(elsewhere, model.parent)
    model_files.delete(model, model.parent)
    assert (elsewhere.exists(), model.exists()) == (True, False)


def test_names_do_not_collide(model: Path) -> None:
    taken = model_files.take_in(model, model.parent)
    assert taken.name == "Faces-2.safetensors"


def test_the_list_shows_cards_and_says_what_cannot_be_used(model: Path, tmp_path: Path) -> None:
    (tmp_path / "models/broken.safetensors").write_bytes(b"\x80\x04 a pickle")
    write_model(tmp_path / "bundled/cars.safetensors", ModelCard(name="cars"))
    found = {entry.name: entry for entry in read_entries(tmp_path / "models", (tmp_path / "bundled",))}
    assert set(found) == {"Faces", "broken", "cars"}
    faces = found["Faces"]
    assert (faces.category, faces.data_count, faces.figures) == ("faces", 70, {"miou": 0.5})
    assert faces.strip == b"\x89PNG"
    assert (faces.resolution, faces.builtin) == (32, False)
    assert faces.bytes == model.stat().st_size
    assert "sample_strip" not in faces.card
    assert "pickle" in found["broken"].problem
    assert found["cars"].builtin


def test_the_library_tells_what_changed(library: ModelLibrary, wait_until: WaitUntil, tmp_path: Path) -> None:
    told: list[str] = []
    library.failed.connect(told.append)
    library.refresh()
    wait_until(lambda: len(library.entries()) == 2)
    assert [entry.name for entry in library.entries()] == ["Faces", "cars"]
    own, bundled = library.entries()
    library.rename(own.id, "People")
    wait_until(lambda: [entry.name for entry in library.entries()] == ["People", "cars"])
    library.describe(library.entries()[0].id, licence="own use")
    wait_until(lambda: library.entries()[0].licence == "own use")
    library.rename(library.entries()[0].id, "///")
    wait_until(lambda: told)
    assert "cannot be called" in told.pop()
    library.delete(bundled.id)
    wait_until(lambda: told)
    assert "ships with the program" in told.pop()
    exported: list[str] = []
    library.exported.connect(exported.append)
    library.export(bundled.id, tmp_path / "copy.safetensors")
    wait_until(lambda: exported)
    assert inspect(tmp_path / "copy.safetensors").card.name == "cars"
    library.delete(library.entries()[0].id)
    wait_until(lambda: len(library.entries()) == 1)


def test_import_refuses_what_is_no_model(
    library: ModelLibrary, wait_until: WaitUntil, tmp_path: Path
) -> None:
    told, taken = list[str](), list[str]()
    library.failed.connect(told.append)
    library.imported.connect(taken.append)
    (tmp_path / "evil.safetensors").write_bytes(b"\x80\x04cos\nsystem\n")
    library.import_model(tmp_path / "evil.safetensors")
    wait_until(lambda: told, timeout_sec=60)
    assert "pickle" in told[0]
    assert not taken
    assert len(list((tmp_path / "models").glob("*.safetensors"))) == 1
