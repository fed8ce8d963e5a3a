from __future__ import annotations

import numpy as np
import pytest
import torch

from coordgan_core.data.pixels import to_tensor, to_uint8
from coordgan_core.errors import ShapeError


def test_every_value_survives_the_round_trip() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.is_contiguous()
    assert (tensor.min(), tensor.max()) == (-1.0, 1.0)
    np.testing.assert_array_equal(to_uint8(tensor), pixels)


def test_axes_and_channels_keep_their_place() -> None:
    pixels = np.zeros((2, 5, 3), np.uint8)
    pixels[1, 3, 2] = 255
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, 2, 5)
    assert tensor[0, 2, 1, 3] == 1.0
    assert tensor.sum() == -3 * 2 * 5 + 2


def test_values_beyond_the_range_are_clipped() -> None:
    np.testing.assert_array_equal(to_uint8(torch.full((1, 3, 1, 1), 7.0)), np.full((1, 1, 1, 3), 255))
    np.testing.assert_array_equal(to_uint8(torch.full((1, 3, 1, 1), -7.0)), np.zeros((1, 1, 1, 3)))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (1, 1, 4, 4, 3)])
def test_other_layouts_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        to_tensor(np.zeros(shape, np.uint8))
    with pytest.raises(ShapeError):
        to_uint8(torch.zeros(shape))


def test_read_only_arrays_are_taken() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels.flags.writeable = False
    assert to_tensor(pixels).shape == (1, 3, 2, 2)
