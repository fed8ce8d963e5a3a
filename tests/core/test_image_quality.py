from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

from coordgan_core import image_quality
from coordgan_core.errors import ConfigError, DataError, ShapeError
from coordgan_core.image_quality import (
    RandomFeatures,
    frechet_distance,
    inception_distances,
    inception_obstacle,
    kernel_distance,
    random_feature_distances,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_frechet_distance_of_gaussians_is_the_closed_form(rng):
    a = rng.normal(size=(40_000, 2)) * [1.0, 2.0]
    b = rng.normal(size=(40_000, 2)) * [3.0, 2.0] + [1.0, -2.0]
    # |m|^2 + sum (s1 - s2)^2 for diagonal covariances
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + (3 - 1) ** 2, rel=0.03)


def test_frechet_distance_needs_no_commuting_covariances(rng):
    mix = np.array([[1.0, 0.7], [0.0, 0.5]])
    a, b = rng.normal(size=(500, 2)) @ mix, rng.normal(size=(500, 2)) @ mix.T
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(first @ second))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second) - 2 * roots.sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_a_set_has_no_distance_from_itself(rng):
    a = rng.normal(size=(60, 100))  # fewer images than features
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-4)


def test_kernel_distance_is_unbiased(rng):
    a, b = rng.normal(size=(2, 3000, 4))
    near, far = kernel_distance(a, b), kernel_distance(a, b + 1.0)
    assert abs(near) < 0.05
    assert far > 10 * abs(near)


def test_random_features_are_the_same_everywhere_and_see_colour_and_edges():
    images = torch.rand(4, 3, 50, 40, generator=torch.Generator().manual_seed(1)) * 2 - 1
    first, second = RandomFeatures()(images), RandomFeatures()(images)
    assert first.shape == (4, RandomFeatures().dim)
    assert torch.equal(first, second)
    for changed in (images * 0.5, images.flip(1), torch.nn.functional.avg_pool2d(images, 3, 1, 1)):
        assert not torch.allclose(RandomFeatures()(changed), first, rtol=0.01)


def test_blurred_images_are_farther_than_other_images_of_the_kind():
    images = torch.rand(2, 120, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    network = RandomFeatures(16)
    real, other = (network(part).double().numpy() for part in images)
    blurred = network(torch.nn.functional.avg_pool2d(images[1], 3, 1, 1)).double().numpy()
    near, far = random_feature_distances(real, other), random_feature_distances(real, blurred)
    assert set(near) == {"random_feature_frechet", "random_feature_kernel"}
    assert all(far[name] > 2 * abs(near[name]) for name in near)


def test_too_few_or_other_features_are_told(rng):
    with pytest.raises(DataError, match="1 real"):
        frechet_distance(rng.normal(size=(1, 3)), rng.normal(size=(5, 3)))
    with pytest.raises(ShapeError):
        kernel_distance(rng.normal(size=(5, 4)), rng.normal(size=(5, 3)))


def test_fid_is_never_measured_without_its_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(image_quality.importlib.util, "find_spec", lambda name: None)
    assert "not installed" in (inception_obstacle() or "")
    monkeypatch.setattr(image_quality.importlib.util, "find_spec", lambda name: True)
    assert "not on this machine" in (inception_obstacle() or "")
    with pytest.raises(ConfigError, match="need no weights"):
        inception_distances([], [])


def test_fid_and_kid_are_those_of_torch_fidelity(monkeypatch, tmp_path):
    asked = {}

    def calculate_metrics(**choices):
        asked.update(choices)
        return {"frechet_inception_distance": 12.5, "kernel_inception_distance_mean": 0.25}

    module = types.SimpleNamespace(calculate_metrics=calculate_metrics)
    monkeypatch.setitem(sys.modules, "torch_fidelity", module)
    monkeypatch.setattr(image_quality, "inception_obstacle", lambda: None)
    real, generated = torch.zeros(3, 3, 8, 8, dtype=torch.uint8), torch.ones(2, 3, 8, 8, dtype=torch.uint8)
    assert inception_distances(list(real), list(generated)) == {"fid": 12.5, "kid": 0.25}
    assert (len(asked["input1"]), len(asked["input2"]), asked["kid_subset_size"]) == (2, 3, 2)
    assert asked["input1"][0].dtype == torch.uint8
