from __future__ import annotations

import math

import pytest
import torch

from coordgan_core.losses.adversarial import discriminator_loss, generator_loss, gradient_penalty


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_logistic_losses_by_hand() -> None:
    real, fake = torch.tensor([[1.0], [3.0]]), torch.tensor([[-2.0], [0.5]])
    want = (softplus(-1) + softplus(-3)) / 2 + (softplus(-2) + softplus(0.5)) / 2
    assert float(discriminator_loss(real, fake)) == pytest.approx(want)
    assert float(generator_loss(fake)) == pytest.approx((softplus(2) + softplus(-0.5)) / 2)


def test_relativistic_losses_by_hand() -> None:
    real, fake = torch.tensor([[1.0], [3.0]]), torch.tensor([[-2.0], [0.5]])
    want = (softplus(-3) + softplus(-2.5)) / 2
    assert float(discriminator_loss(real, fake, "relativistic")) == pytest.approx(want)
    assert float(generator_loss(fake, real, "relativistic")) == pytest.approx(
        (softplus(3) + softplus(2.5)) / 2
    )
    with pytest.raises(ValueError, match="real"):
        generator_loss(fake, form="relativistic")


def test_penalty_of_a_quadratic_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0], [0.0, 3.0]], requires_grad=True)
    weight = torch.tensor(2.0, requires_grad=True)
    penalty = gradient_penalty(weight * x.square().sum(dim=1), x)  # gradient 2 w x: squared norms 4 w^2 |x|^2
    assert float(penalty.detach()) == pytest.approx(4 * 4 * (5 + 9) / 2)
    penalty.backward()
    assert float(weight.grad) == pytest.approx(8 * 2 * 7)
    two = gradient_penalty((x.square().sum(1) + 3 * x.sum(1)), x, x)
    assert float(two.detach()) == pytest.approx(2 * ((5**2 + 7**2) + (3**2 + 9**2)) / 2)
