"""The model file: one safetensors with networks, configuration and model card in its header.

Nothing in a model file is executed. The header is checked completely before any tensor is read, and nothing
is allocated for a file whose shapes do not fit its own configuration. Inspecting a file needs neither
PyTorch nor its tensors.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from coordgan_core import config as configuration
from coordgan_core.config import FORMAT_VERSION, ModelConfig
from coordgan_core.errors import ConfigError, ModelError
from coordgan_core.files import atomic_path
from coordgan_core.safetensors_header import DAMAGED, NOT_OURS, check_tensors, read_header

if TYPE_CHECKING:
    import torch
    from torch import nn

    from coordgan_core.calibration import Calibration
    from coordgan_core.models.coordgan import CoordGAN

KEY_FORMAT, KEY_CONFIG, KEY_CARD, KEY_CALIBRATION = "coordlabel.format", "config", "card", "calibration"


@dataclass(frozen=True)
class ModelCard:
    """What a person must know about a model before using it. Empty fields are unknown."""

    name: str = ""
    category: str = ""
    """What the images show, such as ``faces``."""
    description: str = ""
    data_source: str = ""
    data_count: int = 0
    data_fingerprint: str = ""
    """SHA-256 over the training images."""
    preset: str = ""
    trained_nimg: int = 0
    trained_sec: float = 0.0
    device: str = ""
    machine: str = ""
    """What it was trained on, such as the processor and how many of its cores."""
    figures: dict[str, float] = field(default_factory=dict)
    """Measured values by name, such as ``miou``."""
    measured: str = ""
    """The command that prints the figures, with the day and the machine of the measurement."""
    licence: str = ""
    research_use: bool = False
    """The training data allow research only."""
    created: str = ""
    """ISO 8601 date."""
    sample_strip: str = ""
    """A strip of sample images, PNG in base64."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that this version does not know; kept when the card is saved again."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ModelCard:
        """Build a card; unknown keys go to ``extra``, known keys of a wrong type are dropped."""
        defaults = dataclasses.asdict(cls())
        known, extra = {}, dict(value.get("extra") or {}) if isinstance(value.get("extra"), Mapping) else {}
        for key, item in value.items():
            if key == "extra":
                continue
            if key not in defaults:
                extra[key] = item
            elif isinstance(item, type(defaults[key])):
                known[key] = item
            elif isinstance(defaults[key], float) and isinstance(item, int):
                known[key] = float(item)
        return cls(**known, extra=extra)

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON types, ``extra`` merged in."""
        values = dataclasses.asdict(self)
        extra: dict[str, Any] = values.pop("extra")
        return extra | values


@dataclass(frozen=True)
class ModelInfo:
    """What the header of a model file says; no tensor was read."""

    path: Path
    format_version: int
    config: ModelConfig
    card: ModelCard
    calibration: dict[str, Any] | None
    """JSON of `coordgan_core.calibration.Calibration`, None if the model was never calibrated."""
    parameters: int
    """Numbers in all tensors."""
    bytes: int
    """Size of the file."""
    shapes: dict[str, tuple[int, ...]] = field(repr=False, default_factory=dict)


def save_model(
    path: str | Path,
    model: nn.Module,
    card: ModelCard,
    *,
    calibration: Mapping[str, Any] | None = None,
    half: bool | Collection[str] = False,
) -> None:
    """Write a model file atomically.

    Args:
        path: The ``.safetensors`` file.
        model: A `CoordGAN`; its ``config`` and ``state_dict()`` are stored.
        card: The model card.
        calibration: JSON of a `Calibration`.
        half: Store float16, all tensors or those named: half the size; `load_model` computes in float32 all
            the same.

    Raises:
        ModelError: A weight is not finite, or not in float16.
        DiskFullError: The file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {k: v.detach().to("cpu").contiguous().clone() for k, v in model.state_dict().items()}
    if half:
        named = tensors if isinstance(half, bool) else half
        tensors = {k: v.half() if v.is_floating_point() and k in named else v for k, v in tensors.items()}
    _check_finite(tensors, Path(path), "train again from an earlier checkpoint; this one has diverged")
    metadata = {
        KEY_FORMAT: str(FORMAT_VERSION),
        KEY_CONFIG: json.dumps(configuration.to_dict(model.config)),
        KEY_CARD: json.dumps(card.to_json()),
    }
    if calibration is not None:
        metadata[KEY_CALIBRATION] = json.dumps(dict(calibration))
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, str(temporary), metadata=metadata)
        except SafetensorError as error:
            raise _as_os_error(error) from error


def _as_os_error(error: Exception) -> Exception:
    """Return the operating system's error that safetensors tells only in words, such as a full disk."""
    found = re.search(r"os error (\d+)", str(error))
    return OSError(int(found.group(1)), os.strerror(int(found.group(1)))) if found else error


def load_calibration(path: str | Path) -> Calibration:
    """Return the calibration of a model file, the default prior if it was never calibrated.

    Raises:
        ModelError: As `inspect`.
    """
    from coordgan_core.calibration import Calibration

    return Calibration.from_json(inspect(path).calibration or {})


def store_calibration(path: str | Path, calibration: Calibration) -> None:
    """Put a calibration into a model file, in place of any before; its tensors stay as they are.

    Raises:
        ModelError: As `inspect`.
        DiskFullError: The file cannot be written; it is then unchanged.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    inspect(path)
    with safe_open(str(path), framework="pt") as opened:
        metadata = opened.metadata() | {KEY_CALIBRATION: json.dumps(calibration.to_json())}
    tensors = {name: tensor.clone() for name, tensor in load_file(str(path)).items()}  # off the old file
    with atomic_path(path) as temporary:
        save_file(tensors, str(temporary), metadata=metadata)


def inspect(path: str | Path) -> ModelInfo:
    """Read and check the header of a model file.

    Raises:
        ModelError: The file is missing, of another kind or version, damaged, or its header does not hold
            together.
    """
    path = Path(path)
    header, data_bytes = read_header(path)
    metadata = header.pop("__metadata__", {})
    shapes = check_tensors(path, header, data_bytes)
    if not isinstance(metadata, dict) or KEY_FORMAT not in metadata:
        raise ModelError(
            f"{path} is a safetensors file of another program",
            expected=f"a header with {KEY_FORMAT!r}",
            remedy=NOT_OURS,
        )
    version = _check_version(path, metadata[KEY_FORMAT])
    calibration = _json_object(path, metadata, KEY_CALIBRATION) if KEY_CALIBRATION in metadata else None
    return ModelInfo(
        path=path,
        format_version=version,
        config=_config(path, _json_object(path, metadata, KEY_CONFIG)),
        card=ModelCard.from_json(_json_object(path, metadata, KEY_CARD) if KEY_CARD in metadata else {}),
        calibration=calibration,
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        bytes=path.stat().st_size,
        shapes=shapes,
    )


def load_model(
    path: str | Path,
    device: torch.device | str = "cpu",
    *,
    build: Callable[[ModelConfig], nn.Module] | None = None,
) -> CoordGAN:
    """Load a model file, in evaluation mode, on ``device``.

    Args:
        path: The ``.safetensors`` file.
        device: Where the networks go.
        build: What makes the networks from their configuration; `CoordGAN` by default.

    Raises:
        ModelError: As `inspect`; also if tensors do not fit the configuration, or a weight is not finite.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    info = inspect(path)
    make = build or _coordgan
    with torch.device("meta"):  # shapes only: nothing is allocated for a file that does not fit
        _check_fit(info, make(info.config))
    try:
        tensors = load_file(str(path), device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"the tensors of {path} cannot be read ({error})", remedy=DAMAGED) from error
    _check_finite(tensors, info.path, DAMAGED)
    model = make(info.config)
    model.load_state_dict(tensors)
    return cast("CoordGAN", model.to(device).eval().requires_grad_(False))


def _coordgan(config: ModelConfig) -> nn.Module:
    from coordgan_core.models.coordgan import CoordGAN

    return cast("nn.Module", CoordGAN(config))


def _check_version(path: Path, value: Any) -> int:
    if value != str(FORMAT_VERSION):
        raise ModelError(
            f"{path} has format version {str(value)[:20]}",
            expected=f"version {FORMAT_VERSION}",
            remedy="update CoordLabel if the file is newer; train or convert again if it is older",
        )
    return FORMAT_VERSION


def _json_object(path: Path, metadata: Mapping[str, Any], key: str) -> dict[str, Any]:
    try:
        value = json.loads(metadata[key])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"the header of {path} has no readable {key!r}", remedy=DAMAGED) from error
    if not isinstance(value, dict):
        raise ModelError(f"{key!r} in the header of {path} is no JSON object", remedy=DAMAGED)
    return value


def _config(path: Path, value: Mapping[str, Any]) -> ModelConfig:
    try:
        return configuration.from_dict(ModelConfig, value)
    except (ConfigError, TypeError) as error:
        raise ModelError(
            f"the configuration in {path} is not understood ({error})",
            expected=f"a configuration of format version {FORMAT_VERSION}",
            remedy="update CoordLabel if the file comes from a newer version",
        ) from error


def _check_fit(info: ModelInfo, model: nn.Module) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    missing, unknown = sorted(set(expected) - set(info.shapes)), sorted(set(info.shapes) - set(expected))
    other = [name for name in expected if name in info.shapes and expected[name] != info.shapes[name]]
    if not missing and not unknown and not other:
        return
    found = "; ".join(
        f"{len(names)} tensors {what} (such as {names[0][:80]})"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", other))
        if names
    )
    raise ModelError(
        f"the tensors of {info.path} do not fit its configuration: {found}",
        expected="exactly the tensors of its networks",
        remedy="update CoordLabel, or train the model again with this version",
    )


def _check_finite(tensors: Mapping[str, torch.Tensor], path: Path, remedy: str) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ModelError(f"{path}: tensor {name[:80]!r} holds values that are not finite", remedy=remedy)


def newest_model(folder: str | Path) -> Path:
    """Return the newest ``.safetensors`` file in a folder or its sub-folders (a run folder, for instance).

    Raises:
        ModelError: There is none.
    """
    found = [p for p in Path(folder).rglob("*.safetensors") if not p.name.startswith(".")]
    if not found:
        raise ModelError(
            f"the folder {folder} holds no model",
            expected="a .safetensors file",
            remedy="train a little longer until the first snapshot is written, or name the file itself",
        )
    return max(found, key=lambda p: (os.stat(p).st_mtime_ns, p.name))  # noqa: PTH116
