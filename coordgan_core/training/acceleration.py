"""Arithmetic, memory layout and compilation of a stage's networks; each with a plain way to fall back on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from coordgan_core.devices import Precision, uses_bfloat16

log = logging.getLogger(__name__)
M = TypeVar("M", bound=nn.Module)


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context in which networks run; parameters and optimisers stay float32."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(precision, device), cache_enabled=False
    )


def place(module: M, device: torch.device, precision: Precision) -> M:
    """Move a network to its device, in the layout that its convolutions are fastest in."""
    module = module.to(device)
    if device.type == "cuda" or uses_bfloat16(precision, device):
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


class Compiled:
    """Call a network through `torch.compile` if that works here, as it is otherwise.

    The first calls, without and with gradients, try forward and backward pass once; a failure of the
    compiler is logged and the plain network serves from then on. Never put a gradient penalty behind it:
    compiled networks have no second derivatives.

    Args:
        module: The network; it stays the owner of its parameters.
        enabled: Whether to compile at all.
    """

    def __init__(self, module: nn.Module, *, enabled: bool) -> None:
        self._plain: Callable[..., Tensor] = module
        self._fast: Callable[..., Tensor] | None = torch.compile(module, dynamic=False) if enabled else None
        self._parameters = list(module.parameters())
        self._tried: set[bool] = set()  # with and without gradients, each compiled on its own

    def __call__(self, *args: object) -> Tensor:
        """Call the network."""
        if self._fast is not None and torch.is_grad_enabled() not in self._tried:
            self._try(args)
        call = self._plain if self._fast is None else self._fast
        return call(*args)

    def _try(self, args: tuple[object, ...]) -> None:
        self._tried.add(torch.is_grad_enabled())
        assert self._fast is not None
        try:
            out = self._fast(*args)
            if out.requires_grad:  # the backward pass is compiled when it is first needed
                sources = [*self._parameters, *(a for a in args if isinstance(a, Tensor))]
                wanted = [source for source in sources if source.requires_grad]
                torch.autograd.grad(out.sum(), wanted, allow_unused=True)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            log.warning("torch.compile failed, continuing without it: %s", error)
            self._fast = None
