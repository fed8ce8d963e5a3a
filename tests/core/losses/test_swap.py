from __future__ import annotations

import pytest
import torch

from coordgan_core.config import PatchConfig
from coordgan_core.errors import ShapeError
from coordgan_core.losses.adversarial import discriminator_loss, generator_loss
from coordgan_core.losses.perceptual import Perceptual
from coordgan_core.losses.swap import (
    patch_discriminator_loss,
    patch_gradient_penalty,
    structure_swap_loss,
    swap_neighbours,
    texture_swap_loss,
)
from coordgan_core.models.patch_discriminator import PatchDiscriminator, random_crops
from tests.core.tiny import images

CONFIG = PatchConfig(channels=4, crops=2)


@pytest.fixture
def judge() -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(CONFIG)


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_neighbours_are_exchanged() -> None:
    assert swap_neighbours(torch.arange(6)).tolist() == [1, 0, 3, 2, 5, 4]
    with pytest.raises(ShapeError, match="even"):
        swap_neighbours(torch.arange(3))


def test_texture_swap_reaches_both_images() -> None:
    a, b = images(seed=1).requires_grad_(), images(seed=2).requires_grad_()
    loss = texture_swap_loss(a, b, Perceptual("l2", "test", lambda x, y: (x - y).square()))
    assert float(loss.detach()) == pytest.approx(float((a - b).detach().square().mean()))
    loss.backward()
    torch.testing.assert_close(a.grad, -b.grad)
    assert a.grad is not None
    assert a.grad.abs().sum() > 0


def test_structure_swap_teaches_the_restructured_image_alone(judge: PatchDiscriminator) -> None:
    judge.requires_grad_(False)
    image, other = images(seed=1).requires_grad_(), images(seed=2).requires_grad_()
    loss = structure_swap_loss(image, other, judge, CONFIG, draws())
    loss.backward()
    assert image.grad is None  # the reference is detached
    assert other.grad is not None
    assert other.grad.abs().sum() > 0
    again = draws()
    reference, target = random_crops(image, CONFIG, again), random_crops(other, CONFIG, again)
    torch.testing.assert_close(loss, generator_loss(judge(reference, target)))


def test_patch_discriminator_tells_own_crops_from_restructured_ones(judge: PatchDiscriminator) -> None:
    image, other = images(seed=1), images(seed=2)
    loss = patch_discriminator_loss(image, other, judge, CONFIG, draws())
    again = draws()
    reference, same, target = (random_crops(source, CONFIG, again) for source in (image, image, other))
    torch.testing.assert_close(loss, discriminator_loss(judge(reference, same), judge(reference, target)))
    loss.backward()
    assert all(p.grad is not None for p in judge.parameters())


def test_patch_penalty_is_the_sum_over_reference_and_target_crops(judge: PatchDiscriminator) -> None:
    source = images().requires_grad_()
    penalty = patch_gradient_penalty(source, judge, CONFIG, draws())
    again = draws()
    crops = [random_crops(source.detach(), CONFIG, again).requires_grad_() for _ in range(2)]
    grads = torch.autograd.grad(judge(*crops).sum(), crops)
    want = sum(g.square().sum() for g in grads) / len(source)
    assert float(penalty.detach()) == pytest.approx(float(want), rel=1e-4)
    penalty.backward()
    assert source.grad is None
    assert all(p.grad is not None for n, p in judge.named_parameters() if n.endswith("weight"))
