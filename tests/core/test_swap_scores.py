from __future__ import annotations

import pytest
import torch

from coordgan_core.errors import DataError, ModelError
from coordgan_core.models.codes import Codes
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.swap_scores import colour_distance, drawn_pairs, encoded_pairs, swap_scores
from tests.core.tiny import tiny_config

SIDE = 32


def model(**changes):
    """A model whose networks have left their first values, as a training leaves them."""
    torch.manual_seed(0)
    network = CoordGAN(tiny_config(**{"model.synthesis.noise": False, **changes}).model).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def paint(position: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Paint a square at a position in a colour."""
    grid = (torch.arange(SIDE) + 0.5) * 2 / SIDE - 1
    near = ((grid - position[:, :1]).abs() < 0.4).float()
    shape = near[:, None, :, None] * near[:, None, None, :]
    return torch.tanh(colour)[:, :, None, None] * (0.3 + 0.7 * shape)


def disentangled(codes: Codes) -> torch.Tensor:
    return paint(torch.tanh(codes.structure), codes.texture[:, 0, :3])


def test_a_painter_that_obeys_its_codes_keeps_both(monkeypatch):
    network = model()
    monkeypatch.setattr(network, "render", disentangled)
    scores = swap_scores(network, drawn_pairs(network, 32))
    assert scores.structure_kept() > 0.4
    assert scores.texture_kept() > 0.5
    structure, colour = scores.distances["structure"], scores.distances["colour"]
    assert structure["texture_swap"] < structure["structure_swap"]
    assert colour["structure_swap"] < colour["texture_swap"]


def test_a_painter_that_mixes_up_its_codes_keeps_neither(monkeypatch):
    network = model()

    def mixed_up(codes):
        return disentangled(Codes(codes.texture[:, 0], codes.structure[:, None]))

    monkeypatch.setattr(network, "render", mixed_up)
    scores = swap_scores(network, drawn_pairs(network, 32))
    assert scores.structure_kept() < 0.1
    assert scores.texture_kept() < 0.4


def test_scores_do_not_depend_on_the_batch_and_say_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    network, images = model(), torch.rand(5, 3, SIDE, SIDE) * 2 - 1
    one, two = (swap_scores(network, encoded_pairs(network, images, batch=batch)) for batch in (2, 5))
    assert one.pairs == two.pairs == 5
    for measure, found in one.distances.items():
        assert found == pytest.approx(two.distances[measure], rel=1e-3)
        assert all(value > 0 for value in found.values())
    assert any("LPIPS" in note for note in one.notes)
    assert any("ArcFace" in note for note in one.notes)
    assert "lpips" not in one.distances


def test_drawn_pairs_are_the_same_again_and_never_twice_the_same():
    network = model()
    first, again, other = (
        torch.cat(
            [torch.cat([a.structure, b.structure]) for a, b in drawn_pairs(network, 3, batch=2, first_seed=s)]
        )
        for s in (0, 0, 100)
    )
    assert first.shape[0] == len(first.unique(dim=0)) == 6
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).all(1).any()


def test_a_swap_needs_two_images_and_a_model_that_paints():
    network = model()
    with pytest.raises(DataError, match="no pair"):
        swap_scores(network, encoded_pairs(network, torch.rand(1, 3, SIDE, SIDE)))
    untrained = CoordGAN(tiny_config().model)
    with pytest.raises(ModelError, match="cannot take an image apart"):
        next(encoded_pairs(untrained, torch.rand(2, 3, SIDE, SIDE)))
    with pytest.raises(ModelError, match="cannot draw"):
        next(drawn_pairs(untrained, 2))


def test_colours_are_compared_wherever_they_are():
    image = torch.rand(2, 3, 8, 8)
    moved = image.flip(2).transpose(2, 3)
    assert torch.allclose(colour_distance(image, moved), torch.zeros(2), atol=1e-6)
    assert (colour_distance(image, image + 0.3) > 0.05).all()
