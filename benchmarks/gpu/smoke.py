"""What `--smoke` of the scripts shares: a model of tiny widths and a pack of drawn figures."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pack
import tree  # noqa: F401
from quality_runs import labelled_sample

from coordgan_core.errors import ConfigError

SMALL: dict[str, Any] = {
    "model.resolution": 32,
    "model.mapping.code_dim": 16,
    "model.mapping.layers": 2,
    "model.warp.resolution": 16,
    "model.warp.width": 16,
    "model.synthesis.trunk_channels": 16,
    "model.synthesis.trunk_blocks": 1,
    "model.discriminator.channels": 16,
    "model.patch.channels": 4,
    "model.patch.crops": 2,
    "model.encoder.channels": 4,
    "model.encoder.max_channels": 16,
    "model.encoder.downsamplings": 2,
    "model.encoder.structure_channels": 4,
    "model.encoder.texture_channels": 16,
    "train.batch": 2,
    "train.compile": False,
    "train.gan.warp_px": 16,
} | {
    "model.synthesis.upsample_channels": [8],
    "model.embedding.channels": [8, 8],
    "model.embedding.input_px": 32,
    "train.embedding.early_px": 0,
}
PAPER_ONLY = {
    name: value for name, value in SMALL.items() if "embedding" not in name and "upsample" not in name
}
"""For a preset without an embedding and without doubling blocks."""


def chosen(names: str, known: Mapping[str, object]) -> list[str]:
    """Return the names of a list with commas.

    Raises:
        ConfigError: One is unknown.
    """
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"nothing is called {', '.join(unknown)}", expected=f"some of {', '.join(known)}")
    return wanted


def drawn_pack(folder: Path, images: int = 8) -> Path:
    """Write a pack of the sample project's first images; return it."""
    data = labelled_sample(folder / "drawn", images=images)
    shutil.copytree(data / "images", data / "unlabelled")
    pack.pack(data, folder / "drawn.zip", px=48, queries=1)
    return folder / "drawn.zip"
