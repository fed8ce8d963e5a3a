"""What the engine answers for Explore, on tiny models with trained and untrained parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from coordgan_core.data.images import read_image
from coordgan_core.engine.backend import LocalBackend
from coordgan_core.engine.protocol import Request
from coordgan_core.engine.server import Answer
from coordgan_core.errors import ConfigError, ModelError
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, save_model
from tests.core.tiny import awaken, tiny_config

SIDE = 32


def saved(folder: Path, *trained: str, **changes: object) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CoordGAN(tiny_config(**changes).model).eval()
    for part in trained:
        awaken(network.get_submodule(part))
    path = folder / f"{'-'.join(trained) or 'fresh'}.safetensors"
    save_model(path, network, ModelCard())
    return path


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models"), "generator.synthesis", "encoder")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0)
    sources = []
    for index, (width, height) in enumerate([(48, 32), (40, 40), (20, 50), (64, 64)]):
        path = folder / f"{index}.png"
        Image.fromarray(noise.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(path)
        sources.append({"path": str(path)})
    return sources


def run(backend: LocalBackend, model: Path, what: str, **params: Any) -> tuple[list[Answer], Answer]:
    values = {"model": str(model), "device": "cpu", "what": what, **params}
    work = backend.run(Request(1, "explore", params=values))
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return events, end.value


def cells(events: list[Answer]) -> dict[tuple[int, int], np.ndarray]:
    return {(e["row"], e["column"]): a["image"] for e, a in events if e["event"] == "cell"}


def test_abilities_are_told(joint: Path, tmp_path: Path) -> None:
    _, (found, _) = run(LocalBackend(), joint, "abilities")
    assert found == {"maps": True, "encodes": True, "draws": False, "resolution": SIDE}
    _, (fresh, _) = run(LocalBackend(), saved(tmp_path), "abilities")
    assert fresh == {"maps": False, "encodes": False, "draws": False, "resolution": SIDE}


def test_maps_come_with_their_image_and_at_the_end_the_frame(
    joint: Path, pictures: list[dict[str, str]]
) -> None:
    images = [*pictures[:2], {"path": "/no/such.png"}]
    events, (_, final) = run(LocalBackend(), joint, "maps", images=images, side=32)
    assert [(e["event"], e["index"]) for e, _ in events] == [("map", 0), ("map", 1), ("error", 2)]
    arrays = events[0][1]
    assert arrays["image"].shape == arrays["colours"].shape == (21, 32, 3)
    assert arrays["map"].shape == (2, *arrays["reliability"].shape)
    assert final["frame"].shape == final["average"].shape == (128, 128, 3)
    assert set(np.unique(final["known"])) <= {0, 255}


def test_a_row_is_one_structure_and_a_column_one_texture(joint: Path, pictures: list[dict[str, str]]) -> None:
    backend = LocalBackend()
    rows, columns = pictures[:2], pictures[1:4]
    events, _ = run(backend, joint, "grid", rows=rows, columns=columns)
    heads = [(e["axis"], e["index"], e["aspect"]) for e, _ in events if e["event"] == "head"]
    assert heads[:3] == [("row", 0, 1.5), ("row", 1, 1.0), ("column", 0, 1.0)]
    grid = cells(events)
    assert set(grid) == {(r, c) for r in range(2) for c in range(3)}
    predictor = next(iter(backend._predictors.values()))
    codes = [backend._explorer._codes_of(_request(joint), predictor, s) for s in pictures]
    for (r, c), picture in grid.items():
        mixed = codes[r].paired(codes[c + 1])
        expected = predictor.model.render(mixed)
        shown = expected.add(1).mul(127.5).round().clamp(0, 255)[0].permute(1, 2, 0).numpy()
        assert np.abs(shown - picture).max() <= 1, (r, c)
        maps = predictor.model.generator.warp(mixed.structure)
        assert torch.equal(maps, predictor.model.generator.warp(codes[r].structure)), "a row is one map"
    turned, _ = run(backend, joint, "grid", rows=columns, columns=rows, rows_are="texture")
    for (r, c), picture in cells(turned).items():
        assert np.abs(picture.astype(int) - grid[c, r]).max() <= 1, "a row is one texture"


def _request(model: Path) -> Request:
    return Request(1, "explore", params={"model": str(model), "device": "cpu"})


def test_a_broken_picture_costs_its_row_only(
    joint: Path, pictures: list[dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"bad")
    bad = {"path": str(tmp_path / "bad.png")}
    events, _ = run(LocalBackend(), joint, "grid", rows=[pictures[0], bad, pictures[1]], columns=pictures[:1])
    problems = [e for e, _ in events if e["event"] == "error"]
    assert [(e["axis"], e["index"]) for e in problems] == [("row", 1)]
    assert "bad.png" in problems[0]["message"]
    assert set(cells(events)) == {(0, 0), (2, 0)}


def test_reconstructions_tell_their_difference(joint: Path, pictures: list[dict[str, str]]) -> None:
    events, _ = run(LocalBackend(), joint, "reconstruct", images=pictures[:2])
    for event, arrays in events:
        seen, output = arrays["image"].astype(int), arrays["output"].astype(int)
        assert seen.shape == output.shape == (SIDE, SIDE, 3)
        assert np.array_equal(arrays["difference"], np.abs(seen - output))
        assert event["difference"] == pytest.approx(np.abs(seen - output).mean() / 255)


def test_a_model_of_crops_shows_what_it_sees(pictures: list[dict[str, str]], tmp_path: Path) -> None:
    centred = saved(tmp_path, "generator.synthesis", "encoder", **{"model.crop.mode": "centre"})
    events, _ = run(LocalBackend(), centred, "reconstruct", images=pictures[:1])
    event, arrays = events[0]
    assert event["aspect"] == 1.0
    middle = np.asarray(read_image(Path(pictures[0]["path"])))[:, 8:40]
    assert np.array_equal(arrays["image"], middle), "32 x 32 of 48 x 32 pixels"
    events, (_, final) = run(LocalBackend(), centred, "maps", images=pictures[:1], side=48)
    outside = np.isnan(events[0][1]["map"]).any(0)
    assert outside[:, :2].all()
    assert outside[:, -2:].all()
    assert not outside[:, 8:-8].any()
    assert not events[0][1]["colours"][:, :6].any(), "black where the model has not looked"
    events, _ = run(LocalBackend(), centred, "grid", rows=pictures[:1], columns=pictures[1:2])
    assert events[0][0]["aspect"] == 1.0


def test_a_walk_of_no_steps_is_the_image_itself(joint: Path, pictures: list[dict[str, str]]) -> None:
    backend = LocalBackend()
    events, (found, _) = run(backend, joint, "directions", pool=pictures)
    assert found["images"] == 4
    assert len(found["structure"]) == len(found["texture"]) == 3
    assert sum(found["texture"]) == pytest.approx(1.0, abs=1e-4)
    assert events[-1][0] == {"event": "progress", "done": 4, "total": 4}
    amounts = {"structure": [[0.0], [2.0]], "texture": [[0.0], [0.0]]}
    steps, _ = run(backend, joint, "walk", pool=pictures, base=pictures[1], **amounts)
    assert [e["index"] for e, _ in steps] == [0, 1]
    again, _ = run(backend, joint, "reconstruct", images=[pictures[1]])
    assert np.abs(steps[0][1]["image"].astype(int) - again[0][1]["output"]).max() <= 1
    assert not np.array_equal(steps[0][1]["colours"], steps[1][1]["colours"])


def test_drawn_images_come_from_the_prior_or_from_the_spread_of_the_pool(
    joint: Path, pictures: list[dict[str, str]], tmp_path: Path
) -> None:
    drawn = [{"seed": 1}, {"seed": 2}]
    gan = saved(tmp_path, "generator")
    events, _ = run(LocalBackend(), gan, "grid", rows=drawn, columns=drawn)
    assert len(cells(events)) == 4
    events, _ = run(LocalBackend(), joint, "grid", rows=drawn, columns=pictures[:1], pool=pictures)
    assert len(cells(events)) == 2
    with pytest.raises(ConfigError, match="pool"):
        run(LocalBackend(), joint, "grid", rows=drawn, columns=pictures[:1])
    with pytest.raises(ModelError, match="no encoder that was trained"):
        run(LocalBackend(), gan, "grid", rows=pictures[:1], columns=drawn)


@pytest.mark.parametrize(
    ("what", "params"),
    [
        ("nonsense", {}),
        ("maps", {"images": 5}),
        ("maps", {"images": [], "side": 5}),
        ("grid", {"rows": [], "columns": [], "rows_are": "colour"}),
        ("grid", {"rows": [{}], "columns": []}),
        ("walk", {"pool": []}),
    ],
)
def test_bad_requests_are_named(joint: Path, what: str, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        run(LocalBackend(), joint, what, **params)
