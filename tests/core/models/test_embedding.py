from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core.config import EmbeddingConfig
from coordgan_core.coords import canonical_grid, resize_map
from coordgan_core.errors import ConfigError, ShapeError
from coordgan_core.models.embedding import Embedding, locate_reference

CONFIG = EmbeddingConfig(dim=16, channels=(8, 16), input_px=32, prototype_px=12)


def build(config: EmbeddingConfig = CONFIG, seed: int = 0) -> Embedding:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Embedding(config)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(noise(*shape, seed=seed), dim=1)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (20, 20), (48, 33), (7, 90)])
def test_images_of_any_size_give_unit_descriptors_of_one_size(size: tuple[int, int]) -> None:
    descriptors = build()(noise(2, 3, *size))
    assert descriptors.shape == (2, 16, 16, 16)
    assert descriptors.dtype == torch.float32
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(2, 16, 16))


def test_descriptors_are_float32_and_of_unit_length_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        descriptors = build()(noise(2, 3, 32, 32))
    assert descriptors.dtype == torch.float32
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(2, 16, 16))


def test_the_right_size_is_not_resized() -> None:
    images = noise(1, 3, 32, 32)
    assert build().resized(images) is images


def test_shrinking_averages() -> None:
    images = noise(1, 3, 64, 64)
    torch.testing.assert_close(build().resized(images), F.avg_pool2d(images, 2))


@pytest.mark.parametrize("temperature", [0.025, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_locate_is_the_soft_argmax(seed: int, temperature: float) -> None:
    embedding = build(EmbeddingConfig(16, (8, 16), 32, 12, temperature))
    embedding.set_prototypes(noise(16, 12, 12, seed=seed))
    descriptors = unit(3, 16, 5, 9, seed=seed + 100)
    got = embedding.locate(descriptors)
    want = locate_reference(descriptors, embedding.prototypes, temperature)
    assert got.shape == (3, 2, 5, 9)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_locate_stays_finite_where_nothing_is_alike() -> None:
    """The opposite of every prototype, at the lowest temperature: exp(-80) must still be a number."""
    embedding = build(EmbeddingConfig(16, (8, 16), 32, 12, 0.025))
    embedding.set_prototypes(noise(16, 1, 1) + 0.1 * noise(16, 12, 12, seed=1))
    opposite = -embedding.prototypes[None]
    want = locate_reference(opposite, embedding.prototypes, 0.025)
    torch.testing.assert_close(embedding.locate(opposite), want, atol=1e-4, rtol=0)


def test_locate_keeps_float32_under_autocast() -> None:
    embedding = build()
    embedding.set_prototypes(noise(16, 12, 12))
    descriptors = unit(1, 16, 4, 4)
    plain = embedding.locate(descriptors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(embedding.locate(descriptors), plain)


def test_descriptors_that_are_the_prototypes_sit_at_their_places() -> None:
    embedding = build(EmbeddingConfig(64, (8, 16), 32, 6, 0.025))
    embedding.set_prototypes(noise(64, 6, 6, seed=5))  # nearly at right angles to each other
    maps = embedding.locate(embedding.prototypes[None])
    torch.testing.assert_close(maps[0], canonical_grid(6, 6), atol=1e-3, rtol=0)


def test_gradients_of_locate_are_those_of_the_reference() -> None:
    embedding = build()
    embedding.set_prototypes(noise(16, 12, 12))
    one, two = (unit(2, 16, 4, 4, seed=3).requires_grad_() for _ in range(2))
    weights = noise(2, 2, 4, 4, seed=4)
    (embedding.locate(one) * weights).sum().backward()
    (locate_reference(two, embedding.prototypes, 0.05) * weights).sum().backward()
    assert one.grad is not None
    torch.testing.assert_close(one.grad, two.grad, atol=1e-4, rtol=1e-4)


def test_likeness_is_the_best_cosine() -> None:
    embedding = build()
    embedding.set_prototypes(noise(16, 12, 12))
    descriptors = unit(2, 16, 3, 4, seed=1)
    found = embedding.likeness(descriptors)
    assert found.shape == (2, 1, 3, 4)
    best = max(float(descriptors[1, :, 2, 3] @ p) for p in embedding.prototypes.flatten(1).T)
    assert float(found[1, 0, 2, 3]) == pytest.approx(best, abs=1e-6)
    torch.testing.assert_close(embedding.likeness(embedding.prototypes[None]), torch.ones(1, 1, 12, 12))


def test_ready_once_prototypes_are_set_and_after_loading() -> None:
    embedding, other = build(), build(seed=1)
    assert not embedding.ready
    embedding.set_prototypes(noise(16, 16, 16))
    assert embedding.ready
    other.load_state_dict(embedding.state_dict())
    assert other.ready
    assert torch.equal(other.prototypes, embedding.prototypes)


def test_prototypes_are_resized_and_of_unit_length() -> None:
    embedding = build()
    mean = 0.1 * torch.cat([canonical_grid(16, 16), torch.ones(14, 16, 16)])  # shorter than 1, linear
    embedding.set_prototypes(mean)
    want = F.normalize(torch.cat([resize_map(mean[None, :2] * 10, 12, 12)[0], torch.ones(14, 12, 12)]), dim=0)
    torch.testing.assert_close(embedding.prototypes, want)


def test_prototypes_are_not_trained() -> None:
    assert "prototypes" in dict(build().named_buffers())
    assert "prototypes" in build().state_dict()


@pytest.mark.parametrize(("input_px", "channels"), [(34, (8, 16)), (36, (4, 8, 16)), (32, ())])
def test_sizes_that_cannot_be_halved_are_refused(input_px: int, channels: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=f"input_px is {input_px}"):
        build(EmbeddingConfig(16, channels, input_px))


@pytest.mark.parametrize("shape", [(3, 40, 40), (1, 1, 40, 40)])
def test_other_layouts_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="image batch"):
        build()(torch.zeros(shape))
