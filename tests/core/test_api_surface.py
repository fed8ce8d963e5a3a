"""What users of the library may rely on: names and signatures, pinned in ``tests/api_surface.json``.

A change that is meant: ``python -m tests.core.test_api_surface`` writes the file again.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

import coordgan_core

PINNED = Path(__file__).parents[1] / "api_surface.json"


def surface() -> dict[str, str]:
    """Return the public names with their signatures; types are left out, for they are checked elsewhere."""
    found = {}
    for name in sorted(coordgan_core.__all__):
        value = getattr(coordgan_core, name)
        if callable(value):
            parameters = inspect.signature(value).parameters.values()
            plain = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
            found[name] = str(inspect.Signature(plain))
        else:
            found[name] = type(value).__name__
    return found


def test_the_public_names_and_signatures_are_pinned() -> None:
    assert surface() == json.loads(PINNED.read_text())


def test_everything_public_is_documented_and_not_made_here() -> None:
    for name in coordgan_core._PUBLIC:
        value = getattr(coordgan_core, name)
        assert value.__doc__, name
        assert value.__module__.startswith("coordgan_core."), name


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = coordgan_core.nothing
    assert dir(coordgan_core) == sorted(coordgan_core.__all__)


if __name__ == "__main__":
    PINNED.write_text(json.dumps(surface(), indent=1) + "\n")
