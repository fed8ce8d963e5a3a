from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from coordgan_core.coords import canonical_grid
from coordgan_core.errors import ConfigError, ModelError
from coordgan_core.evaluation import LabelledImage, Protocol
from coordgan_core.metrics import Confusion

SIDE = 48


def disc(x: float, y: float, *, radius: float = 0.45) -> LabelledImage:
    """A bright disc with a dark spot in it on a gray ground; classes 0, 1 and 2."""
    grid = canonical_grid(SIDE, SIDE).numpy()
    distance = np.hypot(grid[0] - x, grid[1] - y)
    labels = (distance < radius).astype(np.uint8)
    labels[np.hypot(grid[0] - x, grid[1] - y + 0.15) < 0.15] = 2
    labels.flags.writeable = False  # as merged label maps are
    colours = np.array([[90, 90, 90], [230, 210, 60], [20, 30, 120]], np.uint8)
    return LabelledImage(f"{x},{y}", colours[labels], labels)


REFERENCE, QUERY = disc(0.0, 0.0), disc(0.22, -0.12)
RULES = Protocol(("background", "disc", "spot"), size=SIDE)


def quality(carriers, name, **choices):
    """Return the mean IoU of a peer from the reference to the moved disc."""
    options = carriers.PeerOptions(classes=3, size=SIDE, **choices)
    found = next(carriers.prepare(name, REFERENCE, options).carry([QUERY.image]))
    assert found.dtype == np.uint8
    assert found.shape == (SIDE, SIDE)
    confusion = Confusion(3)
    confusion.add(found, QUERY.labels)
    return confusion.mean_iou()


@pytest.mark.parametrize("name", ["demons", "demons-gradient", "bspline", "bspline-gradient"])
def test_registration_follows_what_moved(script, name):
    pytest.importorskip("SimpleITK")
    carriers = script("peers.carriers")
    assert quality(carriers, name) > quality(carriers, "copy") + 0.2


def test_a_unet_learns_from_one_labelled_image(script):
    carriers, unet = script("peers.carriers"), script("peers.unet")
    options = carriers.PeerOptions(classes=3, size=SIDE)
    trained = unet.OneShotUNet("unet", REFERENCE, options, steps=60)
    confusion = Confusion(3)
    confusion.add(next(trained.carry([QUERY.image])), QUERY.labels)
    assert confusion.mean_iou() > quality(carriers, "copy") + 0.2


def test_the_unet_stops_when_its_time_is_over(script):
    carriers, unet = script("peers.carriers"), script("peers.unet")
    options = carriers.PeerOptions(classes=3, size=SIDE, seconds=0.0)
    assert unet.OneShotUNet("unet", REFERENCE, options).steps == 1


def test_flips_are_only_learned_where_no_class_has_a_side(script):
    views = script("peers.unet")._views
    image, truth = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 2, SIDE, SIDE)
    plain, _ = views(image, truth, False, torch.Generator().manual_seed(1))
    flipped, targets = views(image, truth, True, torch.Generator().manual_seed(1))
    assert targets.shape == (8, 2, SIDE, SIDE)
    assert not torch.equal(plain, flipped)


@pytest.fixture
def weights(script, tmp_path):
    """Save random weights under the published names; return the file and the network."""
    vit = script("peers.vit")
    torch.manual_seed(0)
    network = vit.VisionTransformer(dim=64, depth=2, patch=14, tokens=1 + 9, registers=4)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    state = network.state_dict() | {"mask_token": torch.zeros(1, 64)}
    torch.save(state, tmp_path / "vit.pth")
    return tmp_path / "vit.pth", network


def test_weights_under_the_published_names_are_read(script, weights):
    path, network = weights
    loaded = script("peers.vit").load_dinov2(path)
    assert {"patch_embed.proj.weight", "blocks.1.attn.qkv.bias", "blocks.0.ls1.gamma", "norm.weight"} <= set(
        loaded.state_dict()
    )
    images = torch.rand(1, 3, 56, 42)
    features = loaded(images)
    assert features.shape == (1, 64, 4, 3)
    assert torch.allclose(features, network(images))


def test_nearest_patches_find_the_reference_in_itself(script, weights):
    carriers = script("peers.carriers")
    options = carriers.PeerOptions(classes=3, size=SIDE, dinov2=weights[0])
    found = next(carriers.prepare("dinov2", REFERENCE, options).carry([REFERENCE.image]))
    assert (found == REFERENCE.labels).mean() > 0.85


def test_what_is_no_dinov2_is_told(script, tmp_path):
    load = script("peers.vit").load_dinov2
    torch.save({"conv.weight": torch.zeros(2)}, tmp_path / "other.pth")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    for name in ("other.pth", "broken.pth", "broken.safetensors", "absent.pth"):
        with pytest.raises(ModelError, match="dinov2_vits14_pretrain"):
            load(tmp_path / name)


def test_unknown_and_impossible_peers_are_told(script):
    carriers = script("peers.carriers")
    options = carriers.PeerOptions(classes=3, size=SIDE)
    with pytest.raises(ConfigError, match="no peer 'sift'"):
        carriers.prepare("sift", REFERENCE, options)
    with pytest.raises(ConfigError, match="--dinov2"):
        carriers.prepare("dinov2", REFERENCE, options)


def test_slow_peers_see_fewer_queries_and_the_table_says_so(script, monkeypatch):
    carriers, runs = script("peers.carriers"), script("peers.runs")
    monkeypatch.setattr(runs, "SLOW", ("dis",))
    queries = [disc(0.1 * i, 0.0) for i in range(4)]
    options = carriers.PeerOptions(classes=3, size=SIDE)

    class Exact:
        def carry(self, images):
            return (next(q.labels for q in queries if q.image is image) for image in images)

    events = list(
        runs.compare(
            ["copy", "dis", "dinov2"],
            [REFERENCE, disc(0.3, 0.0)],
            queries,
            RULES,
            options,
            model=lambda _: Exact(),
            slow_queries=2,
            slow_references=1,
        )
    )
    figures = {e.way: e for e in events if isinstance(e, runs.Figures)}
    assert {way: one.queries for way, one in figures.items()} == {
        "model": 4,
        "model, as slow peers": 2,
        "model, 2 fused": 4,
        "copy": 4,
        "dis": 2,
    }
    assert figures["model"].miou == 1.0
    assert 0 < figures["copy"].miou < 1.0
    assert figures["copy"].references == figures["model, 2 fused"].references == 2
    assert figures["dis"].references == figures["model, as slow peers"].references == 1
    assert all(f.seconds_per_image > 0 and f.seconds_of_preparation > 0 for f in figures.values())
    assert [(e.way, "--dinov2" in e.reason) for e in events if isinstance(e, runs.Skipped)] == [
        ("dinov2", True)
    ]
    steps = [e for e in events if isinstance(e, runs.Step)]
    assert [s.done for s in steps] == list(range(1, steps[-1].total + 1))


def test_queries_are_spread_evenly(script):
    spread = script("peers.runs").spread
    queries = [dataclasses.replace(QUERY, name=str(i)) for i in range(10)]
    assert [q.name for q in spread(queries, 3)] == ["0", "3", "6"]
    assert len(spread(queries, 0)) == len(spread(queries, 99)) == 10
