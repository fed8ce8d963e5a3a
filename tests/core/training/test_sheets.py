from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from coordgan_core.config import EmbeddingConfig
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.training.sheets import sample_sheet
from tests.core.tiny import images, tiny_config

SIDE, GAP, BREAK = 32, 2, 8


def model(**changes: object) -> CoordGAN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CoordGAN(tiny_config(**changes).model).eval()


def cell(sheet: Tensor, row: int, column: int, top: int = 0) -> Tensor:
    y, x = top + row * (SIDE + GAP), column * (SIDE + GAP)
    return sheet[:, y : y + SIDE, x : x + SIDE]


def rows(count: int) -> int:
    return count * (SIDE + GAP) - GAP


def test_a_model_with_an_encoder_shows_maps_reconstructions_and_swaps() -> None:
    network, photos = model(), images(count=5)
    sheet = sample_sheet(network, photos, stage="encoder")
    assert sheet.shape == (3, rows(3) + BREAK + rows(5), rows(5))
    assert torch.equal(cell(sheet, 0, 4), photos[4])
    codes = network.encode(photos)
    torch.testing.assert_close(cell(sheet, 2, 1), network.render(codes)[1].detach().clamp(-1, 1))
    grid_top = rows(3) + BREAK
    assert torch.equal(cell(sheet, 2, 0, grid_top), photos[1])  # the head of row 2: structure of photo 1
    assert torch.equal(cell(sheet, 0, 3, grid_top), photos[2])  # the head of column 3: texture of photo 2


def test_the_embedding_stage_shows_maps_only() -> None:
    network = model(**{"model.embedding": EmbeddingConfig(dim=4, channels=(4, 8), input_px=32)})
    assert sample_sheet(network, images(count=3), stage="embedding").shape == (3, rows(2), rows(3))


def test_the_gan_stage_shows_generated_images_below_their_maps_colours() -> None:
    sheet = sample_sheet(model(), images(count=3), stage="gan")
    assert sheet.shape == (3, rows(4), rows(5))
    assert torch.equal(sheet, sample_sheet(model(), images(count=3), stage="gan"))  # always the same draws


@pytest.mark.parametrize("stage", ["embedding", "gan", "encoder"])
def test_drawing_leaves_the_model_alone(stage: str) -> None:
    network: nn.Module = model()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sample_sheet(network, images(count=2), stage=stage)  # type: ignore[arg-type]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network.training
