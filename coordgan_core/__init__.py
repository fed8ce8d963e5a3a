"""coordgan_core: dense correspondence and label propagation with CoordGAN (Mu et al., CVPR 2022), and beyond it.

Names are loaded on first use, so that importing the package loads neither PyTorch nor OpenCV.
"""

from __future__ import annotations

import importlib
from typing import Any

from coordgan_core._version import __version__

_PUBLIC: dict[str, str] = {}
"""Public name -> module that holds it."""

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return __all__
