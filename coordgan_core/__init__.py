"""Dense correspondence and label propagation with CoordGAN (Mu et al., CVPR 2022), and beyond it.

Names are loaded on first use, so that importing the package loads neither PyTorch nor OpenCV.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from coordgan_core._version import __version__

if TYPE_CHECKING:  # for type checkers and editors only
    from coordgan_core.correspondence import match as match
    from coordgan_core.data.images import read_image as read_image
    from coordgan_core.errors import CoordError as CoordError
    from coordgan_core.folder import propagate_folder as propagate_folder
    from coordgan_core.labels import write_label_map as write_label_map
    from coordgan_core.predictor import Predictor as Predictor
    from coordgan_core.presets import preset as preset
    from coordgan_core.propagation import PropagationOptions as PropagationOptions
    from coordgan_core.propagation import Reference as Reference
    from coordgan_core.propagation import propagate_labels as propagate_labels
    from coordgan_core.propagation import read_reference as read_reference
    from coordgan_core.snapshot import inspect as inspect
    from coordgan_core.snapshot import load_model as load  # noqa: F401
    from coordgan_core.training.loop import resume as resume
    from coordgan_core.training.loop import train as train

_PUBLIC: dict[str, str] = {
    "CoordError": "coordgan_core.errors:CoordError",
    "Predictor": "coordgan_core.predictor:Predictor",
    "PropagationOptions": "coordgan_core.propagation:PropagationOptions",
    "Reference": "coordgan_core.propagation:Reference",
    "inspect": "coordgan_core.snapshot:inspect",
    "load": "coordgan_core.snapshot:load_model",
    "match": "coordgan_core.correspondence:match",
    "preset": "coordgan_core.presets:preset",
    "propagate_folder": "coordgan_core.folder:propagate_folder",
    "propagate_labels": "coordgan_core.propagation:propagate_labels",
    "read_image": "coordgan_core.data.images:read_image",
    "read_reference": "coordgan_core.propagation:read_reference",
    "resume": "coordgan_core.training.loop:resume",
    "train": "coordgan_core.training.loop:train",
    "write_label_map": "coordgan_core.labels:write_label_map",
}
"""Public name -> ``module:name`` that it stands for."""

__all__ = ["__version__", *_PUBLIC]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    place = _PUBLIC.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
