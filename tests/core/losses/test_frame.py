from __future__ import annotations

import pytest
import torch

from coordgan_core.config import EmbeddingConfig
from coordgan_core.coords import canonical_grid
from coordgan_core.losses.frame import frame_loss
from coordgan_core.models.embedding import Embedding
from tests.core.tiny import images


@pytest.fixture
def embedding() -> Embedding:
    torch.manual_seed(0)
    made = Embedding(EmbeddingConfig(dim=8, channels=(8, 8), input_px=32, prototype_px=16)).eval()
    with torch.no_grad():
        made.set_prototypes(made(images(8)).mean(0))
    return made.requires_grad_(False)


def test_maps_that_the_embedding_agrees_with_cost_nothing(embedding: Embedding) -> None:
    shown = images(2)
    agreed = embedding.locate(embedding(shown))
    assert frame_loss(agreed, shown, embedding) < 1e-3
    assert frame_loss(agreed + torch.tensor([0.3, 0.4])[:, None, None], shown, embedding) == pytest.approx(
        0.5
    )


def test_maps_of_another_size_are_compared_where_they_lie(embedding: Embedding) -> None:
    shown = images(2)
    small, large = (canonical_grid(side, side).expand(2, -1, -1, -1) for side in (16, 48))
    torch.testing.assert_close(frame_loss(small, shown, embedding), frame_loss(large, shown, embedding))


def test_gradients_reach_maps_and_images_and_not_the_embedding(embedding: Embedding) -> None:
    shown = images(2).requires_grad_()
    maps = canonical_grid(16, 16).expand(2, -1, -1, -1).clone().requires_grad_()
    frame_loss(maps, shown, embedding).backward()
    for tensor in (shown, maps):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in embedding.parameters())
