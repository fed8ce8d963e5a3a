"""The named configurations: `paper-128` as published, and what this project makes of it."""

from __future__ import annotations

from coordgan_core.config import Config
from coordgan_core.errors import ConfigError

PRESETS: dict[str, Config] = {
    "paper-128": Config(),
}


def preset(name: str) -> Config:
    """Return the configuration called ``name``.

    Raises:
        ConfigError: There is no preset of that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(
            f"there is no preset {name!r}",
            expected=f"one of {', '.join(PRESETS)}",
            remedy="pass one of these names",
        ) from None
