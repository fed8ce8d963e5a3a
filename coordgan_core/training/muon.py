"""Muon for convolutions: steps of orthogonalised momentum (Jordan et al. 2024), by PyTorch's own optimiser.

`torch.optim.Muon` takes matrices only. A convolution's weight is one, an output channel a row, if its other
axes are read as one; `ConvMuon` gives the optimiser such views, which share their storage with the weights.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from coordgan_core.errors import ShapeError
from coordgan_core.models.embedding import Embedding

_HANDOVER = "_muon_handover"
"""Attribute of a weight: the handle of its hook."""


class ConvMuon(torch.optim.Muon):
    """`torch.optim.Muon` for weights of two axes or more.

    The parameters of its groups are the views. Gradients move there as soon as the backward pass has summed
    them, and the weights keep none: what clips or averages gradients finds them in the groups, as ever.

    Args:
        weights: ``[O, ...]`` each, dense in memory; placed in their final layout and device.
        lr: Learning rate, of steps whose singular values are all about 1.
        momentum: Of the averaged gradient, with Nesterov's look ahead.
        weight_decay: Decoupled, times the learning rate.

    Raises:
        ShapeError: A weight has one axis, or no matrix is a view of it.
    """

    def __init__(
        self, weights: Iterable[Tensor], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        weights = list(weights)
        views = [nn.Parameter(as_matrix(weight.detach())) for weight in weights]
        super().__init__(views, lr=lr, momentum=momentum, weight_decay=weight_decay)
        for weight, view in zip(weights, views, strict=True):
            _hand_over(weight, view)


def _hand_over(weight: Tensor, view: nn.Parameter) -> None:
    """Let a weight's gradients go to ``view``, and no more to that of an optimiser it had before."""
    earlier = getattr(weight, _HANDOVER, None)
    if earlier is not None:
        earlier.remove()
    handle = weight.register_post_accumulate_grad_hook(_Handover(view))  # type: ignore[no-untyped-call]
    setattr(weight, _HANDOVER, handle)


class _Handover:
    """Move a weight's gradient to the view that is optimised."""

    def __init__(self, view: nn.Parameter) -> None:
        self._view = view

    def __call__(self, weight: Tensor) -> None:
        assert weight.grad is not None
        grad = as_matrix(weight.grad.contiguous(memory_format=_layout(weight)))
        self._view.grad = grad if self._view.grad is None else self._view.grad + grad
        weight.grad = None


def as_matrix(weight: Tensor) -> Tensor:  # [O, ...] -> [O, rest], a view
    """Return a weight as a matrix that shares its storage, whatever its memory layout.

    The order of the columns follows the layout; orthogonalisation does not depend on it.

    Raises:
        ShapeError: The weight has fewer than two axes, or is not dense in memory.
    """
    axes = weight.permute(0, 2, 3, 1) if _layout(weight) is torch.channels_last else weight
    if weight.ndim < 2 or not axes.is_contiguous():
        raise ShapeError(
            f"a weight of shape {list(weight.shape)} and strides {list(weight.stride())}",
            expected="two axes or more, dense in memory",
            remedy="leave it to another optimiser",
        )
    return axes.view(len(axes), -1)


def trunk_weights(embedding: Embedding) -> list[nn.Parameter]:
    """Return the weights of an embedding's convolutions behind the first one and before the last."""
    return [
        parameter
        for name, parameter in embedding.trunk.named_parameters()
        if parameter.ndim == 4 and not name.startswith("stem.")
    ]


def _layout(weight: Tensor) -> torch.memory_format:
    dense = weight.is_contiguous()
    if weight.ndim == 4 and not dense and weight.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format
