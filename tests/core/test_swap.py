from __future__ import annotations

import torch
from torch import Tensor

from coordgan_core.models.codes import Codes
from coordgan_core.swap import sheet, structure_swap, texture_swap
from tests.core.tiny import images, tiny_model


class Labels:
    """A painter whose images say which codes they were made from: red the structure, green the texture."""

    def encode(self, images: Tensor) -> Codes:
        return Codes(images[:, 0, :1, 0], images[:, 1, :1, :1])

    def render(self, codes: Codes) -> Tensor:
        red, green = codes.structure[:, :1], codes.texture[:, 0, :1]
        return torch.stack([red, green, 0 * red], dim=1)[..., None].expand(-1, -1, 4, 4)


def test_a_row_is_one_structure_and_a_column_one_texture() -> None:
    structures = torch.arange(3.0)[:, None, None, None].expand(3, 3, 4, 4)
    textures = 10 + torch.arange(2.0)[:, None, None, None].expand(2, 3, 4, 4)
    grid = texture_swap(Labels(), structures, textures, batch=4)
    assert grid.shape == (3, 2, 3, 4, 4)
    assert grid[:, :, 0, 0, 0].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert grid[:, :, 1, 0, 0].tolist() == [[10, 11]] * 3
    turned = structure_swap(Labels(), textures, structures)
    assert torch.equal(turned, grid.transpose(0, 1))


def test_codes_are_taken_as_they_are() -> None:
    model = tiny_model().eval()
    with torch.no_grad():
        codes = model.encode(images(3))
        grid = texture_swap(model, codes, images(3))
        torch.testing.assert_close(
            torch.stack([grid[n, n] for n in range(3)]), model.render(codes), rtol=1e-4, atol=1e-5
        )


def test_sheet_has_room_for_everything() -> None:
    grid = torch.zeros(2, 3, 3, 4, 5)
    page = sheet(grid, rows=torch.full((2, 3, 4, 5), -1.0), columns=torch.full((3, 3, 4, 5), 0.5), gap_px=1)
    assert page.shape == (3, 3 * 5 - 1, 4 * 6 - 1)
    assert (page[:, :4, :5] == 1).all()  # the corner stays white
    assert (page[:, :4, 6:11] == 0.5).all()
    assert (page[:, 5:9, :5] == -1).all()
    assert (page[:, 5:9, 6:11] == 0).all()
    assert sheet(grid).shape == (3, 2 * 6 - 2, 3 * 7 - 2)
