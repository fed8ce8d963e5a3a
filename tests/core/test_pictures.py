from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coordgan_core.coords import canonical_grid
from coordgan_core.errors import ShapeError
from coordgan_core.pictures import colour_map, write_png


def test_a_colour_is_a_place() -> None:
    places = torch.tensor([[0.4, 0.4, -0.9, 1.5], [-0.65, -0.65, 0.9, 0.0]]).reshape(1, 2, 1, 4)
    first, again, other, outside = colour_map(places)[0, :, 0].T
    assert torch.equal(first, again)
    torch.testing.assert_close(first, torch.tensor([0.4, -0.65, 0.125]))
    assert not torch.allclose(first, other)
    assert torch.equal(outside, torch.full((3,), -1.0))


def test_unknown_places_are_black() -> None:
    places = torch.full((1, 2, 1, 1), float("nan"))
    assert colour_map(places).flatten().tolist() == [-1.0, -1.0, -1.0]


def test_the_identity_shows_a_straight_lattice() -> None:
    brightness = colour_map(canonical_grid(128, 128)[None])[0].amax(0)
    rows = brightness[8]  # between two lines across; lines along lie on the edges of pixels 16, 32, 48 ...
    falls = (rows[1:] < rows[:-1] - 0.2).nonzero().flatten() + 1
    assert falls.tolist() == [15, 31, 47, 63, 79, 95, 111, 127]


def test_the_shape_is_checked() -> None:
    with pytest.raises(ShapeError):
        colour_map(torch.zeros(2, 4, 4))


def test_a_png_holds_the_image(tmp_path: Path) -> None:
    image = torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1).expand(3, 2, 5)
    write_png(tmp_path / "new/picture.png", image)
    pixels = np.asarray(Image.open(tmp_path / "new/picture.png"))
    assert pixels.shape == (2, 5, 3)
    assert pixels[0, 0].tolist() == [0, 128, 255]
