"""Dataclasses whose fields explain and check themselves: from JSON types and back, checked, with changes.

Which fields there are says `coordgan_core.config`. A class may have a method ``check_together() -> None``
that raises `ConfigError` where its values, each within its range, do not fit each other. Standard library
only.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, TypeVar

from coordgan_core.errors import ConfigError

T = TypeVar("T")


def option(
    default: Any, text: str, *, low: float | None = None, high: float | None = None, unit: str = ""
) -> Any:
    """Return a dataclass field that knows how to explain and check itself (for forms, flags and errors)."""
    metadata = {"help": text, "low": low, "high": high, "unit": unit}
    return field(default=default, metadata=metadata)


def to_dict(config: Any) -> dict[str, Any]:
    """Turn a configuration into plain JSON types."""
    return dataclasses.asdict(config)


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a configuration of type ``cls`` from plain JSON types, checking names, types and ranges.

    Fields that are absent keep their defaults.

    Raises:
        ConfigError: A name is unknown, or a value has the wrong type or is out of its range.
    """
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(
            f"{cls.__name__} has no field {', '.join(unknown)}",
            expected=f"fields among {', '.join(fields)}",
            remedy="correct the name, or update the program if the file comes from a newer version",
        )
    built = {name: _convert(f"{cls.__name__}.{name}", hints[name], value) for name, value in values.items()}
    config = cls(**built)
    check(config)
    return config


def check(config: Any) -> None:
    """Raise `ConfigError` if a value, nested ones included, is out of its field's range or fits no other."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            check(value)
            continue
        low, high = f.metadata.get("low"), f.metadata.get("high")
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, (int, float)) or isinstance(number, bool):
                continue
            inside = (low is None or number >= low) and (high is None or number <= high)
            if not (math.isfinite(number) and inside):
                raise _outside(f"{type(config).__name__}.{f.name}", value, low, high, f.metadata["help"])
    if hasattr(config, "check_together"):
        config.check_together()


def _outside(name: str, value: Any, low: float | None, high: float | None, text: str) -> ConfigError:
    return ConfigError(
        f"{name} is {value}",
        expected=f"a value from {'any' if low is None else low} to {'any' if high is None else high}",
        remedy=f"{text}: choose a value in that range",
    )


def replace(config: T, **changes: Any) -> T:
    """Return a copy with changes; dotted names (as ``**{"train.batch": 8}``) reach nested configurations.

    Raises:
        ConfigError: A name is unknown, or a value has the wrong type or is out of its range.
    """
    for path, value in changes.items():
        config = _replace_one(config, path.split("."), value)
    check(config)
    return config


def _replace_one(config: Any, path: list[str], value: Any) -> Any:
    name = path[0]
    hints = typing.get_type_hints(type(config))
    if name not in hints:
        raise ConfigError(
            f"{type(config).__name__} has no field {name}", expected=f"one of {', '.join(hints)}"
        )
    if len(path) > 1:
        inner = getattr(config, name)
        if inner is None:
            raise ConfigError(f"{name} is not part of this model", remedy="choose a preset that has it")
        return dataclasses.replace(config, **{name: _replace_one(inner, path[1:], value)})
    return dataclasses.replace(
        config, **{name: _convert(f"{type(config).__name__}.{name}", hints[name], value)}
    )


def _convert(name: str, hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert(name, next(a for a in arguments if a is not type(None)), value)
    if dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast(type[Any], hint)):
            return value
        if not isinstance(value, Mapping):
            raise _wrong(name, value, "an object")
        return from_dict(typing.cast(type[Any], hint), value)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise _wrong(name, value, "a list")
        if arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise _wrong(name, value, f"a list of {len(arguments)} values")
        inner = arguments[0]
        return tuple(_convert(name, inner, item) for item in value)
    if origin is Literal:
        # True and 1.0 equal 1, and are none of the values all the same.
        if not any(type(value) is type(a) and value == a for a in arguments):
            raise _wrong(name, value, "one of " + ", ".join(map(repr, arguments)))
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _wrong(name, value, f"a value of type {hint.__name__}")
    return value


def _wrong(name: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"{name} is {value!r}", expected=expected, remedy="correct the value")
