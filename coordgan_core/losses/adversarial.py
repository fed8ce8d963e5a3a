"""Adversarial losses and gradient penalties (fact sheet section 2)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Form = Literal["non-saturating", "relativistic"]


def discriminator_loss(real: Tensor, fake: Tensor, form: Form = "non-saturating") -> Tensor:
    """Return the discriminator's logistic loss of logits of real and of generated images, a scalar.

    Non-saturating: ``mean softplus(-D(x)) + mean softplus(D(G))``, as published. Relativistic: ``mean
    softplus(-(D(x) - D(G)))`` over pairs, so that only the difference counts (Huang et al. 2024, R3GAN); give
    it R1 and R2.

    Args:
        real: Logits of real images, ``[B, 1]``.
        fake: Logits of as many generated images.
        form: Which of the two.
    """
    if form == "relativistic":
        return F.softplus(fake - real).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor, real: Tensor | None = None, form: Form = "non-saturating") -> Tensor:
    """Return the generator's logistic loss, a scalar: ``mean softplus(-D(G))``, or of ``-(D(G) - D(x))``.

    Args:
        fake: Logits of generated images.
        real: Logits of as many real images, for the relativistic form alone.
        form: Which of the two.
    """
    if form == "relativistic":
        if real is None:
            raise ValueError("the relativistic form compares with real images: pass their logits")
        return F.softplus(real - fake).mean()
    return F.softplus(-fake).mean()


def gradient_penalty(logits: Tensor, *inputs: Tensor) -> Tensor:
    """Return the squared norm of the gradient of ``logits`` with respect to the inputs, mean over the batch.

    R1 with real inputs, R2 with generated ones (Mescheder et al. 2018), without its weight ``gamma / 2``.
    With several inputs (crops of the patch discriminator) their squared norms are added. Differentiable in
    the network's parameters.

    Args:
        logits: Outputs for the inputs, any shape; the batch is the first axis of each input.
        inputs: Leaf tensors that require gradients, ``[B, ...]``.
    """
    gradients = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return torch.stack([g.square().flatten(1).sum(dim=1).mean() for g in gradients]).sum()
