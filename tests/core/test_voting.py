import cv2
import numpy as np
import pytest
import torch

from coordgan_core import coords
from coordgan_core.atlas import LabelAtlas
from coordgan_core.flow import AlignConfig, Aligner
from coordgan_core.voting import Panel, VoteConfig

SIZE = 64
IDENTITY = coords.canonical_grid(SIZE, SIZE)


def textured(seed):
    noise = np.random.default_rng(seed).normal(128, 120, (SIZE, SIZE, 3)).astype(np.float32)
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 2.5), 0, 255).astype(np.uint8)


def atlas(label, share=1.0):
    """Return an atlas that says ``label`` of 0 and 1 everywhere."""
    soft = torch.zeros(2, SIZE, SIZE)
    soft[label] = 1.0
    made = LabelAtlas(2)
    made.splat(IDENTITY, soft, weight=share)
    return made


def panel(images, *, weights=None, **vote):
    """Return a panel whose references say 0, 1, 0, 1, ... everywhere."""
    return Panel(
        [atlas(i % 2) for i in range(len(images))],
        [Aligner(IDENTITY, image, AlignConfig(size=SIZE)) for image in images],
        weights or [1.0] * len(images),
        size=SIZE,
        sigma=0.06,
        config=VoteConfig(**vote),
    )


def test_each_pixel_listens_to_the_reference_that_looks_like_it_there():
    left, right = textured(1), textured(2)
    query = np.concatenate([left[:, : SIZE // 2], right[:, SIZE // 2 :]], axis=1)
    says_one = panel([left, right], unit=2.0).vote(IDENTITY, query).soft[1]
    assert says_one[:, :24].mean() < 0.25
    assert says_one[:, 40:].mean() > 0.75


def test_equal_references_say_as_much_as_their_weights():
    image = textured(1)
    ballot = panel([image, image], weights=[1.0, 3.0]).vote(IDENTITY, image)
    assert ballot.soft[1].mean() == pytest.approx(0.75, abs=1e-4)
    assert ballot.soft.sum(0) == pytest.approx(np.ones((SIZE, SIZE)), abs=1e-4)
    assert ballot.agreement == pytest.approx(1.0)


def test_only_the_likeliest_vote():
    images = [textured(i) for i in range(4)]
    ballot = panel(images, most=1).vote(IDENTITY, images[2])
    assert ballot.soft[0].min() > 0.999


def test_without_alignment_all_share_one_atlas():
    both = Panel([atlas(0), atlas(1, share=3.0)], [], [1.0, 3.0], size=SIZE, sigma=0.06)
    ballot = both.vote(IDENTITY, textured(0))
    assert ballot.soft[1].mean() == pytest.approx(0.75, abs=1e-3)
    assert ballot.agreement == 0.0


def test_a_reference_can_be_left_out():
    images = [textured(1), textured(2)]
    assert panel(images).without(0).vote(IDENTITY, images[0]).soft[1].min() > 0.999
    assert panel(images).without(1).atlas.probabilities()[0].min() > 0.999


def test_a_query_is_prepared_once_for_all_references(monkeypatch):
    images = [textured(i) for i in range(4)]
    four = panel(images, most=2)
    calls, prepare = [], Aligner.structures
    monkeypatch.setattr(Aligner, "structures", lambda self, image: calls.append(1) or prepare(self, image))
    four.vote(IDENTITY, images[0])
    assert len(calls) == 1
