import dataclasses
import math

import numpy as np
import pytest
import torch

from coordgan_core import coords
from coordgan_core.atlas import LabelAtlas
from coordgan_core.calibration import Calibration, Example, expected_error, fit, logit
from coordgan_core.confidence import BlurredAtlas, features, image_score, next_best_reference


def made_examples(seed, count=4, temperature=0.4):
    """Return overconfident examples: the true log-odds are ``temperature`` times theirs."""
    rng = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        raw = rng.normal(1.0, 2.0, 4000).astype(np.float32)
        right = rng.random(4000) < 1 / (1 + np.exp(-temperature * raw))
        examples.append(Example(np.stack([raw, *[np.zeros_like(raw)] * 3]), right))
    return examples


def test_fitting_repairs_overconfident_scores_on_other_images():
    start = Calibration(weights=(1.0, 0.0, 0.0, 0.0), intercept=0.0)
    fitted = fit(made_examples(0), start)
    fresh = made_examples(1)
    assert expected_error(start, fresh) > 0.1
    assert expected_error(fitted, fresh) < 0.03
    assert fitted.weights[0] == pytest.approx(0.4, abs=0.1)
    assert fitted.images == 4


def test_without_examples_the_prior_stays():
    assert fit([]) == Calibration()


def test_more_score_never_means_less_confidence():
    examples = [dataclasses.replace(e, features=-e.features) for e in made_examples(2)]
    assert min(fit(examples).weights) >= 0


def test_a_calibration_survives_json_and_nonsense():
    fitted = fit(made_examples(3))
    assert Calibration.from_json(fitted.to_json()) == fitted
    prior = Calibration.from_json(Calibration().to_json())
    assert math.isnan(prior.ece)
    odd = {"weights": [1, "x"], "intercept": "y", "position_sigma": 0.2, "images": None, "new": 1}
    assert Calibration.from_json(odd).position_sigma == 0.2
    assert Calibration.from_json(odd).weights == Calibration().weights


def test_several_references_deserve_more_trust_but_not_without_end():
    certain = np.full((4, 1), 3.0, np.float32)
    trust = [Calibration().for_references(n).apply(certain)[0] for n in (1, 2, 3, 9)]
    assert trust[0] < trust[1] < trust[2] == trust[3]
    assert Calibration().for_references(3).for_references(1).weights == pytest.approx(Calibration().weights)


def halves():
    atlas = LabelAtlas(2)
    identity = coords.canonical_grid(64, 64)
    right = (identity[0] > 0).float()
    atlas.splat(identity, torch.stack([1 - right, right]))
    return atlas


def test_a_blurred_atlas_doubts_what_lies_near_a_border():
    points = torch.tensor([[-0.5, -0.1, 0.0, 0.1], [0.0, 0.0, 0.0, 0.0]])[None, :, None]
    sharp = halves().sample(points).probabilities[0, 1, 0]
    blurred = BlurredAtlas(halves(), 0.1).sample(points)[0, 1, 0]
    assert sharp[[0, 1, 3]].tolist() == pytest.approx([0, 0, 1], abs=0.01)
    # a step seen through a Gaussian of standard deviation 0.1: normal distribution at 1 sigma
    assert blurred.tolist() == pytest.approx([0, 0.159, 0.5, 0.841], abs=0.02)


def test_features_read_the_label_of_each_pixel():
    labels = np.array([[0, 1]], np.uint8)
    soft = np.array([[[0.9, 0.3]], [[0.1, 0.7]]], np.float32)
    found = features(labels, soft, soft[::-1], np.full((1, 2), 0.5, np.float32), agreement=0.5)
    refined = logit(np.array([0.9, 0.7]))
    assert found[:, 0].tolist() == [
        pytest.approx(logit(np.array([0.1, 0.3])).tolist()),
        pytest.approx(refined.tolist()),
        pytest.approx([0, 0]),
        pytest.approx((0.5 * refined).tolist()),
    ]


def test_the_score_of_an_image_gives_each_part_one_vote():
    labels = np.array([[0, 0, 1, 1, 1, 2]], np.uint8)
    confidence = np.array([[1.0, 1.0, 0.8, 0.8, 0.8, 0.2]])
    assert image_score(confidence, labels) == pytest.approx(0.5)
    assert image_score(confidence, np.zeros_like(labels)) == pytest.approx(confidence.mean())


def clusters():
    rng = np.random.default_rng(0)
    centres = np.repeat([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], [30, 12, 3], axis=0)
    return (centres + rng.normal(0, 0.5, centres.shape)).astype(np.float32)


def test_the_first_reference_is_in_the_largest_group_and_the_next_where_none_is():
    codes = clusters()
    first = next_best_reference(codes)
    assert first.index < 30
    assert "typical" in first.reason
    second = next_best_reference(codes, references=[first.index])
    assert 30 <= second.index < 42
    third = next_best_reference(codes, references=[first.index, second.index])
    assert third.index >= 42


def test_uncertain_images_are_served_before_many_certain_ones():
    scores = np.full(45, 0.95)
    scores[42:] = 0.1
    suggestion = next_best_reference(clusters(), scores)
    assert suggestion.index >= 42
    assert "mean confidence is only 0.10" in suggestion.reason


def test_a_suggestion_needs_an_image_without_labels():
    with pytest.raises(ValueError, match="already"):
        next_best_reference(np.zeros((2, 3), np.float32), references=[0, 1])
    assert next_best_reference(np.zeros((2, 3), np.float32), references=[0]).index == 1


def test_a_large_folder_is_no_problem():
    codes = np.random.default_rng(1).normal(size=(20_000, 16)).astype(np.float32)
    assert 0 <= next_best_reference(codes, np.linspace(0, 1, 20_000)).index < 20_000
