"""The training form: presets, and the fields of a configuration with what a form must know of them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal

from app.services.training_values import FieldInfo, PresetInfo
from app.services.translations import mark, translated
from coordgan_core import config as configuration
from coordgan_core.errors import ConfigError
from coordgan_core.presets import PRESETS, preset

BASIC = (
    "train.minutes",
    "train.batch",
    "train.mirror",
    "train.seed",
    "train.precision",
    "train.snapshot_nimg",
    "model.crop.mode",
    "model.crop.box",
    "model.crop.margin",
)
"""Fields that are shown first, in this order."""

_TEXTS = {
    "quick-64": mark("Minutes on a processor, no graphics card needed. For a first model and small folders."),
    "fast-128": mark("Finer maps in hours on one graphics card."),
    "fast-256": mark("The finest maps; a large graphics card and a day."),
    "paper-128": mark("As published, with adversarial training: days on several graphics cards."),
    "paper-512": mark("The published large pictures; grows from a finished paper-128 model."),
}
_STAGES = ("embedding", "joint", "gan", "encoder")
_PARTS = {
    "embedding": ("model.embedding", "train.embedding"),
    "joint": ("model.dense_head", "train.joint"),
    "gan": ("model.discriminator", "model.patch", "train.gan"),
    "encoder": ("train.encoder",),
}
"""Groups that matter only where a stage is trained."""


def presets() -> tuple[PresetInfo, ...]:
    """Return the presets, the quickest first."""
    found = [
        PresetInfo(
            name,
            name,
            translated(_TEXTS.get(name, "")),
            value.model.resolution,
            value.train.minutes,
            value.train.stages,
        )
        for name, value in PRESETS.items()
    ]
    speed = {"quick": 0, "fast": 1, "paper": 2}
    return tuple(sorted(found, key=lambda p: (speed.get(p.name.partition("-")[0], 3), p.resolution)))


def fields(name: str) -> tuple[FieldInfo, ...]:
    """Return all fields of a preset, group by group.

    Raises:
        ConfigError: There is no such preset.
    """
    config = preset(name)
    stages = set(config.train.stages)
    unused = {part for stage in _STAGES if stage not in stages for part in _PARTS[stage]}
    return tuple(
        info
        for group in ("model", "train")
        for info in _fields(getattr(config, group), group, frozenset(unused))
    )


def problem(name: str, changes: dict[str, Any]) -> str:
    """Return what is wrong with changed fields of a preset, a sentence; empty if nothing."""
    try:
        changed(name, changes)
    except ConfigError as error:
        return str(error)
    return ""


def changed(name: str, changes: dict[str, Any]) -> configuration.Config:
    """Return a preset with changed fields.

    Raises:
        ConfigError: A name is unknown, or a value has the wrong type or is out of its range.
    """
    return configuration.replace(preset(name), **changes)


def _fields(config: Any, group: str, unused: frozenset[str]) -> Iterator[FieldInfo]:
    """Yield the fields of one configuration, then those of what it holds."""
    hints = typing.get_type_hints(type(config))
    title = (type(config).__doc__ or "").partition("\n")[0]
    inner = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            inner.append((value, f"{group}.{field.name}"))
        elif "help" in field.metadata:
            yield _field(field, hints[field.name], value, group, title, used=group not in unused)
    for value, name in inner:
        yield from _fields(value, name, unused)


def _field(
    field: dataclasses.Field[Any], hint: Any, value: Any, group: str, title: str, *, used: bool
) -> FieldInfo:
    key = f"{group}.{field.name}"
    kind, choices, length = _kind(hint)
    return FieldInfo(
        key=key,
        group=group,
        group_title=title,
        label=_label(field.name),
        help=field.metadata["help"],
        kind=kind,
        default=value,
        low=field.metadata["low"],
        high=field.metadata["high"],
        unit=field.metadata["unit"],
        choices=choices,
        length=length,
        basic=key in BASIC,
        used=used,
    )


def _kind(hint: Any) -> tuple[str, tuple[str, ...], int]:
    """Return (kind, choices, numbers in a list or 0) of a field's type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _kind(next(a for a in arguments if a is not type(None)))
    if origin is Literal:
        return "choice", tuple(arguments), 0
    if origin is tuple:
        length = 0 if arguments[-1] is Ellipsis else len(arguments)
        kind, choices, _ = _kind(arguments[0])
        return ("choices" if kind == "choice" else "list"), choices, length
    return {bool: "bool", int: "int", float: "float"}.get(hint, "text"), (), 0


def _label(name: str) -> str:
    for ending in ("_nimg", "_px", "_sec"):  # the unit stands beside the field
        name = name.removesuffix(ending)
    words = {"lr": "learning rate", "r1": "R1", "ema": "average", "rgb": "RGB"}
    text = " ".join(words.get(word, word) for word in name.split("_"))
    return text[:1].upper() + text[1:]
