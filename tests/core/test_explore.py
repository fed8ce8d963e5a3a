from __future__ import annotations

import pytest
import torch

from coordgan_core.config import EmbeddingConfig
from coordgan_core.coords import canonical_grid
from coordgan_core.errors import DataError, ModelError
from coordgan_core.explore import Walk, abilities, draw_codes, principal_directions
from coordgan_core.models.codes import Codes
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.pictures import CanonicalAverage
from tests.core.tiny import awaken, tiny_config


def model(**changes: object) -> CoordGAN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CoordGAN(tiny_config(**changes).model).eval()


def test_what_was_never_trained_is_not_offered() -> None:
    fresh = model()
    assert (abilities(fresh).maps, abilities(fresh).encodes, abilities(fresh).draws) == (False, False, False)
    with pytest.raises(ModelError, match="cannot map images"):
        abilities(fresh).require_maps("m")


def test_stage_0_has_maps_only() -> None:
    stage_0 = model(**{"model.embedding": EmbeddingConfig(channels=(4, 8), input_px=32)})
    assert stage_0.embedding is not None
    stage_0.embedding.set_prototypes(torch.randn(stage_0.embedding.config.dim, 4, 4))
    found = abilities(stage_0)
    assert (found.maps, found.encodes, found.draws) == (True, False, False)
    with pytest.raises(ModelError, match="no encoder that was trained"):
        found.require_encoder("m")


@pytest.mark.parametrize(
    ("parts", "encodes", "draws"),
    [
        (("generator.synthesis", "encoder"), True, False),  # joint training
        (("generator",), False, True),  # the adversarial stage
        (("generator", "encoder"), True, True),
        (("encoder",), False, False),  # nothing that renders
    ],
)
def test_abilities_follow_the_parts_that_were_trained(
    parts: tuple[str, ...], encodes: bool, draws: bool
) -> None:
    network = model()
    for part in parts:
        awaken(network.get_submodule(part))
    found = abilities(network)
    assert (found.encodes, found.draws, found.maps) == (encodes, draws, encodes)
    assert found.renders == (encodes or draws)


def test_a_seed_is_always_the_same_image_and_others_differ() -> None:
    network = model()
    with pytest.raises(ModelError, match="no trained prior"):
        draw_codes(network, [0])
    awaken(network.generator)
    first, again = draw_codes(network, [5, 6]), draw_codes(network, [6])
    assert torch.allclose(first.structure[1], again.structure[0])
    assert not torch.allclose(first.structure[0], first.structure[1])
    assert network.render(first).shape == (2, 3, 32, 32)


def test_directions_are_those_of_a_known_cloud() -> None:
    # four points on a cross around (1, 2, 3): variance 2 * 16 / 3 along y, 2 * 1 / 3 along x
    cloud = torch.tensor([[2.0, 2, 3], [0, 2, 3], [1, 6, 3], [1, -2, 3]])
    found = principal_directions(cloud, 5)
    torch.testing.assert_close(found.mean, torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(found.axes[:2], torch.tensor([[0.0, 1, 0], [1, 0, 0]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.sigmas[:2], torch.tensor([32 / 3, 2 / 3]).sqrt())
    torch.testing.assert_close(found.shares[:2], torch.tensor([16 / 17, 1 / 17]))
    assert len(found.sigmas) == 3, "four points span three directions"
    step = found.offsets(torch.tensor([[0.5, -1.0]]))
    torch.testing.assert_close(step, torch.tensor([[-((2 / 3) ** 0.5), 0.5 * (32 / 3) ** 0.5, 0.0]]))


@pytest.mark.parametrize("has_maps", [True, False])
def test_a_walk_moves_what_its_slider_names_and_nothing_else(has_maps: bool) -> None:
    maps = torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(1)) if has_maps else None
    codes = Codes(torch.randn(6, 5), torch.randn(6, 3, 5), maps)
    walk = Walk(codes, count=3)
    base = codes[slice(2, 3)]
    still = walk.at(base, torch.zeros(1, 3), torch.zeros(1, 3))
    assert torch.equal(still.texture, base.texture)
    moved = walk.at(base, torch.tensor([[2.0, 0, 0], [0, 0, 0]]), torch.tensor([[0.0], [1.0]]))
    where = moved.structure if moved.maps is None else moved.maps
    start = base.structure if base.maps is None else base.maps
    assert not torch.allclose(where[0], start[0])
    assert torch.equal(where[1], start[0])
    assert torch.equal(moved.texture[0], base.texture[0])
    away = (moved.texture[1] - base.texture[0]).flatten()
    torch.testing.assert_close(away, walk.texture.axes[0] * walk.texture.sigmas[0])
    assert (walk.mean().maps is None) != has_maps


def test_draws_from_the_spread_of_images_stay_within_it() -> None:
    codes = Codes(torch.randn(40, 6), torch.randn(40, 2, 6))
    drawn = Walk(codes).draw(range(30))
    assert torch.equal(drawn.structure[3], Walk(codes).draw([3]).structure[0])
    distance = (drawn.structure - codes.structure.mean(0)).norm(dim=1)
    assert 0.5 < distance.mean() / (codes.structure - codes.structure.mean(0)).norm(dim=1).mean() < 1.5


def test_two_images_are_too_few_to_walk() -> None:
    with pytest.raises(DataError, match="at least 3"):
        Walk(Codes(torch.randn(2, 4), torch.randn(2, 1, 4)))


def test_identity_maps_average_to_the_image_itself() -> None:
    ramp = torch.cat([canonical_grid(16, 16), torch.zeros(1, 16, 16)])[None]  # interpolation keeps it
    average = CanonicalAverage(16)
    average.add(ramp, canonical_grid(16, 16)[None])
    average.add(-ramp, canonical_grid(16, 16)[None])
    half, known = average.picture()
    assert known.all()
    assert half.abs().max() < 1e-5
    alone = CanonicalAverage(16)
    alone.add(ramp, canonical_grid(16, 16)[None])
    assert (alone.picture()[0] - ramp[0])[:, 1:-1, 1:-1].abs().max() < 1e-5


def test_an_average_knows_only_what_was_seen() -> None:
    average = CanonicalAverage(8)
    average.add(torch.ones(1, 3, 8, 8), canonical_grid(8, 8)[None] * 0.5)  # everything in the middle
    _, known = average.picture()
    assert known[3:5, 3:5].all()
    assert not known[0].any()
