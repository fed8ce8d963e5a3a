import cv2
import numpy as np
import pytest
import torch

from coordgan_core import coords, flow
from coordgan_core.errors import ConfigError
from coordgan_core.flow import AlignConfig, Aligner, Peer, dis_flow, limit_flow, structure_image, warp_labels
from coordgan_core.metrics import Confusion


def textured(shift=0, size=128):
    """Return an image of a bright ring on gentle texture, moved right by ``shift`` pixels, and its labels."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.normal(128, 60, (size, size, 3)).astype(np.float32), (0, 0), 3)
    image = np.clip(np.roll(texture, shift, 1), 0, 255).astype(np.uint8)
    labels = np.zeros((size, size), np.uint8)
    cv2.circle(image, (56 + shift, 64), 24, (250, 240, 200), -1)
    cv2.circle(image, (56 + shift, 64), 10, (30, 60, 200), -1)
    cv2.circle(labels, (56 + shift, 64), 24, 1, -1)
    cv2.circle(labels, (56 + shift, 64), 10, 2, -1)
    return image, labels


def iou(predicted, truth):
    confusion = Confusion(3)
    confusion.add(predicted, truth)
    return confusion.mean_iou()


@pytest.mark.parametrize("kind", ["gray", "gradient", "local", "local-gradient"])
def test_flow_finds_a_shift(kind):
    query, reference = (structure_image(textured(s)[0], kind) for s in (6, 0))
    flow = dis_flow(query, reference)
    assert np.median(flow[50:80, 50:74, 0]) == pytest.approx(-6, abs=0.7)
    assert np.median(flow[50:80, 50:74, 1]) == pytest.approx(0, abs=0.7)


def test_warping_takes_labels_from_where_the_flow_points():
    labels = np.array([[0, 1, 2, 3]], np.uint8)
    flow = np.zeros((1, 4, 2), np.float32)
    flow[..., 0] = 1
    assert warp_labels(labels, flow).tolist() == [[1, 2, 3, 3]]


def test_peers_rank_as_they_must_on_a_shifted_image():
    reference, labels = textured(0)
    query, truth = textured(6)
    scores = {
        n: iou(Peer(n, reference, labels).propagate(query), truth) for n in ("copy", "dis", "dis-gradient")
    }
    assert scores["copy"] == pytest.approx(iou(labels, truth))
    assert min(scores["dis"], scores["dis-gradient"]) > scores["copy"] + 0.1


def test_gradients_ignore_inverted_colours():
    image = textured()[0]
    a, b = structure_image(image, "gradient"), structure_image(255 - image, "gradient")
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8


def test_local_structures_ignore_light_from_one_side():
    noise = np.random.default_rng(0).normal(128, 200, (128, 128, 3)).astype(np.float32)
    image = np.clip(cv2.GaussianBlur(noise, (0, 0), 3), 0, 255).astype(np.uint8)
    shaded = (image * np.linspace(0.15, 1.0, 128)[:, None]).astype(np.uint8)

    def likeness(kind):
        pair = [structure_image(one, kind).ravel() for one in (image, shaded)]
        return np.corrcoef(*pair)[0, 1]

    assert likeness("local") > likeness("gray") + 0.3
    assert likeness("local-gradient") > likeness("gradient") + 0.2


def test_unknown_peers_are_refused():
    with pytest.raises(ConfigError, match="telepathy"):
        Peer("telepathy", *textured())


def test_alignment_corrects_a_map_that_is_off():
    reference, _ = textured(0)
    query, _ = textured(6)
    identity = coords.canonical_grid(128, 128)
    exact = identity - torch.tensor([12 / 128, 0.0])[:, None, None]
    wrong = exact + torch.tensor([5 / 128, 0.0])[:, None, None]
    aligner = Aligner(identity, reference, AlignConfig(size=128))
    result = aligner.align(wrong, aligner.structures(query))
    assert result.accepted
    assert result.after > result.before
    inner = (slice(None), slice(40, 88), slice(40, 84))
    assert (result.correspondence - exact)[inner].abs().mean() < 0.5 * (wrong - exact)[inner].abs().mean()


def test_alignment_keeps_the_map_where_flow_gains_nothing():
    reference, _ = textured(0)
    identity = coords.canonical_grid(64, 64)
    aligner = Aligner(identity, reference, AlignConfig(min_gain=0.02))
    result = aligner.align(identity, aligner.structures(reference))
    assert not result.accepted
    assert torch.allclose(result.correspondence, coords.canonical_grid(256, 256), atol=1e-6)


def test_images_that_are_alike_are_aligned_at_full_resolution():
    """A fine wave that half the resolution cannot follow."""
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.normal(128, 90, (256, 256, 3)).astype(np.float32), (0, 0), 1.5)
    reference = np.clip(texture, 0, 255).astype(np.uint8)
    y, x = np.mgrid[:256, :256].astype(np.float32)
    query = cv2.remap(reference, x + 1.5 * np.sin(y / 3), y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    identity = coords.canonical_grid(256, 256)
    wave = torch.from_numpy(1.5 * np.sin(y / 3)) * (2 / 256)
    errors = {}
    for fine in (False, True):
        aligner = Aligner(identity, reference, AlignConfig(fine=fine, trust=(0.2, 0.4)))
        found = aligner.align(identity, aligner.structures(query)).correspondence[0] - identity[0]
        errors[fine] = float((found - wave)[32:-32, 32:-32].abs().mean())
    assert errors[True] < 0.8 * errors[False]


def test_images_that_differ_are_not(monkeypatch):
    asked = []

    def still(query, reference, *, fine):
        asked.append((query.shape, reference.shape, fine))
        return np.zeros((*query.shape, 2), np.float32)

    monkeypatch.setattr(flow, "dis_flow", still)
    identity = coords.canonical_grid(128, 128)
    aligner = Aligner(identity, textured(0)[0], AlignConfig(size=128, trust=(0.99, 1.0)))
    aligner.align(identity, aligner.structures(textured(14)[0]))
    assert (
        asked == [((64, 64), (64, 64), True)] * 2
    )  # once for each kind of structure image, at half the size


def test_long_flows_are_cut():
    flow = np.array([[[6.0, 8.0], [1.0, 0.0]]], np.float32)
    assert limit_flow(flow, 2.0) == pytest.approx(np.array([[[1.2, 1.6], [1.0, 0.0]]]))


def test_a_smaller_comparison_finds_what_the_whole_one_does():
    identity = coords.canonical_grid(128, 128)
    maps = []
    for shrink in (1, 2):
        config = AlignConfig(size=256, shrink=shrink, fine=False)
        aligner = Aligner(identity, textured(0, 256)[0], config)
        found = aligner.align(identity, aligner.structures(textured(5, 256)[0]))
        assert found.accepted
        assert found.correspondence.shape == (2, 256, 256)
        assert found.difference.shape == (256, 256)
        maps.append(found.correspondence)
    moved_px = (maps[0] - coords.canonical_grid(256, 256)).abs().max() * 128
    assert moved_px > 3
    assert (maps[0] - maps[1]).abs().mean() * 128 < 0.5


def test_correlation_and_percentile_are_those_of_numpy():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (31, 47), np.uint8)
    second = np.clip(first * 0.4 + rng.normal(60, 25, first.shape), 0, 255).astype(np.uint8)
    assert flow._correlation(first, second) == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    assert flow._correlation(first, first) == pytest.approx(1.0)
    assert flow._correlation(first, np.full_like(first, 9)) == 0.0
    values = rng.random((37, 53)).astype(np.float32)
    assert flow._percentile(values, 99) == pytest.approx(np.percentile(values, 99))


@pytest.mark.parametrize(("trust", "at_most_px"), [((0.0, 0.01), 20.0), ((0.9999, 1.0), 6.0)])
def test_only_images_that_become_alike_are_followed_far(trust, at_most_px):
    identity = coords.canonical_grid(128, 128)
    config = AlignConfig(size=128, trust=trust, gate=0.0)
    aligner = Aligner(identity, textured(0)[0], config)
    result = aligner.align(identity, aligner.structures(textured(14)[0]))
    moved_px = (result.correspondence - identity).norm(dim=0) * 64
    assert result.accepted
    assert moved_px.max() <= at_most_px + 0.1
    assert moved_px.max() > at_most_px - 7


def test_a_flow_does_not_depend_on_the_flows_before():
    rng = np.random.default_rng(0)
    for side in (64, 16, 64, 128, 96):
        pair = [cv2.GaussianBlur(rng.integers(0, 255, (side, side), np.uint8), (0, 0), 3.0) for _ in range(2)]
        alone = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*pair, None)
        assert np.array_equal(dis_flow(*pair), alone)
