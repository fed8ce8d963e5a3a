"""The engine's own work on a tiny model: models, correspondence, propagation, refinement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coordgan_core.engine.backend import FLOW_MODEL, LocalBackend
from coordgan_core.engine.protocol import Request
from coordgan_core.engine.server import Answer
from coordgan_core.engine.suggestions import Codes
from coordgan_core.errors import ConfigError, CoordError, LabelError
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, save_model
from tests.core.tiny import tiny_config


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    card = ModelCard(name="Tiny", category="squares", sample_strip="x" * 100)
    save_model(path, CoordGAN(tiny_config().model).eval(), card)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0)
    paths = []
    for index, (width, height) in enumerate([(48, 32), (40, 40), (33, 50)]):
        paths.append(folder / f"{index}.png")
        Image.fromarray(noise.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(paths[-1])
    return paths


def run(
    backend: LocalBackend, verb: Any, params: dict[str, Any], **arrays: Any
) -> tuple[list[Answer], Answer]:
    work = backend.run(Request(1, verb, params=params, arrays=arrays))
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return events, end.value


def test_models_are_listed_with_cards_and_bad_files_with_reasons(model: Path) -> None:
    (model.parent / "bad.safetensors").write_bytes(b"no model")
    _, (data, _) = run(LocalBackend(), "models", {"folders": [str(model.parent), "/no/such/folder"]})
    assert [m["id"] for m in data["models"]] == [FLOW_MODEL, str(model)]
    assert data["models"][1]["category"] == "squares"
    assert "sample_strip" not in data["models"][1]["card"]
    assert [p["path"] for p in data["problems"]] == [str(model.parent / "bad.safetensors")]


def test_link_gives_maps_of_both_images_and_remembers_them(model: Path, pictures: list[Path]) -> None:
    backend = LocalBackend()
    params = {"model": str(model), "image": str(pictures[0]), "reference": str(pictures[1]), "device": "cpu"}
    _, (told, arrays) = run(backend, "link", params)
    assert str(told["runtime"]).startswith(("PyTorch ", "OpenVINO "))
    assert arrays["image_map"].shape == arrays["reference_map"].shape
    assert arrays["image_map"].shape[0] == 2
    assert arrays["image_reliability"].shape == arrays["image_map"].shape[1:]
    assert len(backend._analyses) == 2
    assert len(backend._predictors) == 1
    run(backend, "link", params)
    assert len(backend._analyses) == 2


@pytest.mark.parametrize("use_flow", [True, False])
def test_propagation_gives_labels_of_each_images_size(
    model: Path, pictures: list[Path], tmp_path: Path, use_flow: bool
) -> None:
    labels = np.zeros((32, 48), np.uint8)
    labels[5:20, 10:30] = 3
    (tmp_path / "bad.png").write_bytes(b"bad")
    queries = [
        {"id": i, "path": str(p)} for i, p in enumerate([pictures[1], tmp_path / "bad.png", pictures[2]])
    ]
    params = {
        "model": FLOW_MODEL if use_flow else str(model),
        "device": "cpu",
        "references": [{"path": str(pictures[0])}],
        "queries": queries,
    }
    events, (summary, _) = run(LocalBackend(), "propagate", params, labels0=labels)
    assert (summary["done"], summary["failed"]) == (3, 1)
    if use_flow:
        assert summary["suggestion"] is None, "flow knows nothing of what images are alike"
    else:
        assert summary["suggestion"]["image"] in (0, 2)
        assert "mean confidence" in summary["suggestion"]["reason"]
    kinds = [(e["event"], e.get("image")) for e, _ in events if e["event"] != "progress"]
    assert kinds == [("result", 0), ("error", 1), ("result", 2)]
    results = [(e, a) for e, a in events if e["event"] == "result"]
    assert [a["labels"].shape for _, a in results] == [(40, 40), (50, 33)]
    for data, arrays in results:
        assert set(np.unique(arrays["labels"])) <= {0, 3}
        if use_flow:
            assert data["score"] is None
            assert "confidence" not in arrays
        else:
            assert 0.0 <= data["score"] <= 1.0
            assert arrays["confidence"].dtype == np.uint8
            assert arrays["confidence"].shape == arrays["labels"].shape


def test_the_suggestion_stands_for_the_uncertain_images_that_are_alike() -> None:
    axis = np.zeros((4, 128), np.float32)
    axis[0, 0] = axis[1, 1] = axis[2, 2] = axis[3, 3] = 1.0  # four kinds of images
    codes = Codes([axis[0]])
    for image, (kind, score) in enumerate([(0, 0.9), (1, 0.95), (2, 0.3), (2, 0.3), (2, 0.3), (3, 0.2)]):
        codes.present = axis[kind]
        codes.take(image, score)
    codes.take(9, 0.0)  # an answer without a code counts for nothing
    found = codes.suggestion()
    assert found is not None
    assert found["image"] in (2, 3, 4), "three at 0.3 need more help than one at 0.2"
    assert "3 images are much like it" in found["reason"]
    assert "0.30" in found["reason"]


def test_bad_parameters_are_named(model: Path, pictures: list[Path]) -> None:
    backend = LocalBackend()
    labels = np.ones((5, 5), np.uint8)
    reference = [{"path": str(pictures[0])}]
    cases: list[tuple[type[CoordError], dict[str, Any], dict[str, Any]]] = [
        (ConfigError, {"model": FLOW_MODEL, "references": []}, {}),
        (ConfigError, {"model": FLOW_MODEL, "references": reference}, {}),
        (LabelError, {"model": FLOW_MODEL, "references": reference}, {"labels0": labels}),
        (ConfigError, {"model": 5, "references": reference}, {"labels0": np.ones((32, 48), np.uint8)}),
        (
            ConfigError,
            {"model": str(model), "references": reference, "options": {"no_such": 1}, "device": "cpu"},
            {"labels0": np.ones((32, 48), np.uint8)},
        ),
    ]
    for kind, params, arrays in cases:
        with pytest.raises(kind):
            run(backend, "propagate", params, **arrays)


def test_refine_keeps_classes_and_size(pictures: list[Path]) -> None:
    labels = np.zeros((32, 48), np.uint8)
    labels[8:24, 8:24] = 7
    _, (_, arrays) = run(LocalBackend(), "refine", {"image": str(pictures[0])}, labels=labels)
    assert arrays["labels"].shape == labels.shape
    assert set(np.unique(arrays["labels"])) <= {0, 7}
