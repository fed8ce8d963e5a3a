"""Gradients, and an optimiser's step for one process or many: average the gradients, clip, step."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from coordgan_core.timing import Part


def share_of_batch() -> dict[str, int]:
    """Return ``rank`` and ``world`` of this process: which share of a batch's draws is its own."""
    if dist.is_available() and dist.is_initialized():
        return {"rank": dist.get_rank(), "world": dist.get_world_size()}
    return {"rank": 0, "world": 1}


@Part("backward")
def backward(loss: Tensor) -> None:
    """Compute the gradients of a loss."""
    loss.backward()  # type: ignore[no-untyped-call]


@Part("optimiser")
def take_step(optimizer: torch.optim.Optimizer, *, max_norm: float | None = None) -> None:
    """Average the gradients over all processes, limit their norm and let ``optimizer`` take its step.

    In this order: what is clipped is the gradient of the whole batch, on however many devices. Every process
    must call it as often as the others.

    Args:
        optimizer: Its parameters hold the gradients of this process's share of the batch.
        max_norm: Largest Euclidean norm of the gradients of one parameter group; None does not limit it.
    """
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        _average(optimizer)
    if max_norm is not None:
        for group in optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], max_norm)
    optimizer.step()


def _average(optimizer: torch.optim.Optimizer) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    # A parameter may have a gradient in one process only: flags travel along, so that all agree.
    flags = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([flags, *(grad.reshape(-1).float() for grad in grads)])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    offset = len(parameters)
    for parameter, grad, used in zip(parameters, grads, flat[:offset].tolist(), strict=True):
        if used:
            parameter.grad = flat[offset : offset + grad.numel()].view_as(grad).to(grad.dtype)
        offset += grad.numel()
