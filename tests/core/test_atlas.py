import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from coordgan_core import coords
from coordgan_core.atlas import AtlasConfig, LabelAtlas, splat_reference
from coordgan_core.correspondence import match
from coordgan_core.errors import ShapeError
from coordgan_core.metrics import Confusion


def smooth_map(seed, height, width, strength=0.15):
    generator = torch.Generator().manual_seed(seed)
    field = torch.randn(1, 2, 4, 4, generator=generator) * strength
    field = F.interpolate(field, size=(height, width), mode="bicubic", align_corners=True)[0]
    return coords.canonical_grid(height, width) + field


def blobs(seed, classes, height, width):
    generator = torch.Generator().manual_seed(seed)
    field = F.interpolate(
        torch.randn(1, classes, 5, 5, generator=generator), size=(height, width), mode="bicubic"
    )
    return F.one_hot(field[0].argmax(0), classes).permute(2, 0, 1).float()


def labels_of(soft):
    return soft.argmax(0).numpy().astype("uint8")


@given(st.integers(0, 10_000))
@settings(max_examples=6, deadline=None)
def test_the_atlas_labels_as_the_exact_affinity_does(seed):
    scores = [Confusion(5), Confusion(5)]
    for picture in range(seed, seed + 12, 3):  # summed, as in the benchmark: one alone has 4,608 pixels
        query, reference = smooth_map(picture, 64, 72), smooth_map(picture + 1, 80, 64)
        labels = blobs(picture + 2, 5, 80, 64)
        atlas = LabelAtlas(5)
        atlas.splat(reference, labels)
        fast = labels_of(atlas.sample(query[None]).probabilities[0])
        exact = labels_of(match(query, reference, labels))
        truth = labels_of(blobs(picture + 2, 5, 64, 72))
        for confusion, predicted in zip(scores, (fast, exact), strict=True):
            confusion.add(predicted, truth)
        assert (fast == exact).mean() > 0.97
    assert abs(scores[0].mean_iou() - scores[1].mean_iou()) <= 0.005


def test_splatting_equals_the_plain_loop():
    config = AtlasConfig(size=24)
    correspondence = smooth_map(3, 9, 7, strength=0.6)  # some positions leave the frame
    labels, weights = blobs(4, 3, 9, 7), torch.rand(9, 7, generator=torch.Generator().manual_seed(5))
    atlas = LabelAtlas(3, config=config)
    atlas.splat(correspondence, labels, weight=0.7, pixel_weights=weights)
    plain = splat_reference(correspondence, labels, weights * 0.7, config)
    assert torch.allclose(atlas._mass, plain, atol=1e-5)


def test_a_reference_of_identity_map_has_density_one_at_any_resolution():
    for size in (64, 128):
        atlas = LabelAtlas(2)
        identity = coords.canonical_grid(size, size)
        atlas.splat(identity, blobs(0, 2, size, size))
        inner = atlas.sample(0.8 * coords.canonical_grid(16, 16)[None]).density
        assert inner.mean().item() == pytest.approx(1.0, abs=0.02)


def test_probabilities_sum_to_one_everywhere_even_in_holes():
    atlas = LabelAtlas(4)
    atlas.splat(0.3 * coords.canonical_grid(32, 32), blobs(1, 4, 32, 32))
    assert torch.allclose(atlas.probabilities().sum(0), torch.ones(()), atol=1e-4)
    far = torch.full((1, 2, 1, 1), 0.9)
    nearest = match(far[0], 0.3 * coords.canonical_grid(32, 32), blobs(1, 4, 32, 32))
    assert atlas.sample(far).probabilities[0].argmax() == nearest.argmax()
    assert atlas.sample(far).density.item() == pytest.approx(0.0, abs=1e-6)


def test_an_empty_atlas_is_background():
    assert LabelAtlas(3).probabilities().argmax(0).max() == 0


def test_merging_equals_splatting_both_and_ignores_order():
    parts = []
    for seed in (0, 1):
        part = LabelAtlas(3)
        part.splat(smooth_map(seed, 32, 32), blobs(seed, 3, 32, 32), weight=1.0 + seed)
        parts.append(part)
    together, merged = LabelAtlas(3), LabelAtlas(3)
    for seed in (1, 0):
        together.splat(smooth_map(seed, 32, 32), blobs(seed, 3, 32, 32), weight=1.0 + seed)
    for part in parts:
        merged.merge(part)
    assert torch.allclose(merged.probabilities(), together.probabilities(), atol=1e-4)


def test_weights_decide_between_references_that_disagree():
    identity = coords.canonical_grid(16, 16)
    one, two = torch.zeros(3, 16, 16), torch.zeros(3, 16, 16)
    one[1] = two[2] = 1
    atlas = LabelAtlas(3)
    atlas.splat(identity, one, weight=1.0)
    atlas.splat(identity, two, weight=3.0)
    middle = atlas.sample(torch.zeros(1, 2, 1, 1)).probabilities.flatten().tolist()
    assert middle == pytest.approx([0.0, 0.25, 0.75], abs=1e-4)


def test_shapes_and_configurations_are_checked():
    atlas = LabelAtlas(3)
    with pytest.raises(ShapeError):
        atlas.splat(coords.canonical_grid(8, 8), torch.zeros(2, 8, 8))
    with pytest.raises(ShapeError):
        atlas.splat(coords.canonical_grid(8, 8), torch.zeros(3, 8, 9))
    with pytest.raises(ShapeError):
        atlas.merge(LabelAtlas(4))
    with pytest.raises(ShapeError):
        atlas.sample(coords.canonical_grid(8, 8))
