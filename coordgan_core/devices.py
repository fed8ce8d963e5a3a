"""Where networks run, and whether convolutions may run in bfloat16: one answer for the whole library."""

from __future__ import annotations

import os
from typing import Literal

import torch

from coordgan_core.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16"]


def resolve_device(name: str = "auto", *, local_rank: int | None = None) -> torch.device:
    """Return the device called ``name``; ``"auto"`` is CUDA where there is one, else the CPU.

    Args:
        name: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        local_rank: Of several processes on this machine, the number of this one: its CUDA device.

    Raises:
        ConfigError: The name is unknown, or the device is not there.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        if device.type != "cuda":
            torch.empty(0, device=device)  # some names are known to PyTorch and unusable here
            return device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(
            f"the device {name!r} cannot be used ({reason})",
            expected="auto, cpu, cuda or cuda:N",
            remedy="run `coordlabel doctor` to see which devices are there",
        ) from error
    index = local_rank if local_rank is not None else device.index or 0
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"the device cuda:{index} is not there",
            expected=f"one of {torch.cuda.device_count()} CUDA devices",
            remedy="choose another device, or `cpu`; `coordlabel doctor` lists what is there",
        )
    return torch.device("cuda", index)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Tell whether the hardware multiplies in bfloat16: recent GPUs, CPUs with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def uses_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Tell whether convolutions run in bfloat16; ``auto`` means where the hardware multiplies in it."""
    return multiplies_bfloat16(device) if precision == "auto" else precision == "bfloat16"


def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a small tensor of the host to a device without waiting for it, as a plain copy would."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def worker_threads() -> int:
    """Return how many threads label photographs at once, beside those of PyTorch: one a core, 2 to 8."""
    return max(2, min(8, os.cpu_count() or 2))
