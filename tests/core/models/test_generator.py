from __future__ import annotations

import copy

import pytest
import torch

from coordgan_core.errors import ShapeError
from coordgan_core.models.codes import Codes
from coordgan_core.models.generator import Generator, SineEncoding
from coordgan_core.models.layers import modulated_conv_reference, upsample
from tests.core.tiny import tiny_config


def build(**changes: object) -> Generator:
    torch.manual_seed(0)
    generator = Generator(tiny_config(**changes).model)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith(("noise_strength", "bias")):
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return generator


def latents(count: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.randn(2, count, 16, generator=torch.Generator().manual_seed(seed))
    return z[0], z[1]


def reference_synthesis(net: Generator, maps: torch.Tensor, texture: torch.Tensor) -> torch.Tensor:
    """The generator as the fact sheet lists it: conv k uses slot k, RGB output j uses slot 2 j + 1."""
    s = net.synthesis
    conv_number = rgb_number = 0

    def conv(layer, x):
        nonlocal conv_number
        y = modulated_conv_reference(layer.conv, x, texture[:, conv_number]) + layer.bias[:, None, None]
        conv_number += 1
        return torch.nn.functional.leaky_relu(y, 0.2) * 2**0.5

    def rgb(layer, x):
        nonlocal rgb_number
        y = modulated_conv_reference(layer.conv, x, texture[:, 2 * rgb_number + 1])
        rgb_number += 1
        return y + layer.bias[:, None, None]

    w, b = s.encoding.weight, s.encoding.bias
    x = torch.sin(torch.einsum("cd,bdhw->bchw", w, maps) + b[:, None, None])
    x = torch.cat([conv(s.first, x), maps], 1)
    image = rgb(s.first_rgb, x)
    for block in s.blocks:
        if block.up:
            x = conv(block.second, conv(block.first, x))
            image = upsample(image)
        else:
            x = torch.cat([conv(block.first, x), maps], 1)
            x = torch.cat([conv(block.second, x), maps], 1)
        image = image + rgb(block.to_rgb, x)
    return image


@pytest.mark.parametrize("kernel", [1, 3])
def test_synthesis_is_its_reference(kernel: int) -> None:
    net = build(**{"model.synthesis.trunk_blocks": 2, "model.synthesis.trunk_kernel": kernel})
    maps = net.warp(net.map_structure(latents()[0]))
    texture = torch.randn(2, net.num_texture_layers, 16)
    want = reference_synthesis(net, net.to_trunk(maps), texture)
    torch.testing.assert_close(net.synthesize(maps, texture), want, rtol=1e-3, atol=1e-4)


def test_the_map_depends_on_the_structure_code_alone() -> None:
    net = build()
    structure, texture = latents()
    codes = net.sample(structure, texture)
    codes.structure.retain_grad()
    maps = net.warp(codes.structure)
    maps.sum().backward()
    assert all(p.grad is None for p in net.mapping_texture.parameters())
    assert all(p.grad is None for p in net.synthesis.parameters())
    assert all(p.grad is not None for p in net.mapping_structure.parameters())


def test_textures_change_the_image_and_structures_do_so_through_the_map() -> None:
    net = build()
    (s1, t1), (_, t2) = latents(seed=1), latents(seed=2)
    with torch.no_grad():
        a, b = net(s1, t1), net(s1, t2)
        assert not torch.allclose(a, b, atol=1e-2)
        same_map = net.synthesize(net.warp(net.map_structure(s1)), net.map_texture(t2))
    torch.testing.assert_close(b, same_map)


def test_every_slot_of_the_texture_code_counts() -> None:
    net = build()
    codes = net.sample(*latents())
    texture = codes.texture.detach().clone().requires_grad_()
    net.render(Codes(codes.structure, texture)).square().sum().backward()
    assert texture.grad is not None
    per_slot = texture.grad.abs().sum(dim=(0, 2))
    # convolution k uses slot k, and there is one fewer of them than slots; RGB outputs use the odd ones
    assert len(per_slot) == net.num_texture_layers == 6
    assert (per_slot > 0).all()


def test_maps_of_any_shape_are_rendered_to_scale() -> None:
    net = build()
    code = net.map_structure(latents()[0])
    texture = net.map_texture(latents()[1])
    assert net.synthesize(net.warp(code, (16, 16)), texture).shape == (2, 3, 32, 32)
    assert net.synthesize(net.warp(code, (12, 20)), texture).shape == (2, 3, 24, 40)


def test_another_map_resolution_is_resized_to_the_trunk() -> None:
    net = build(**{"model.warp.resolution": 8})
    assert net(*latents()).shape == (2, 3, 32, 32)


def test_a_1x1_trunk_paints_each_pixel_from_its_own_position() -> None:
    net = build(**{"model.synthesis.trunk_kernel": 1, "model.synthesis.upsample_channels": ()})
    texture = net.map_texture(latents()[1])
    maps = torch.rand(2, 2, 16, 16) * 2 - 1
    order = torch.randperm(256)
    image = net.synthesis(maps, texture).flatten(2)[..., order]
    shuffled = net.synthesis(maps.flatten(2)[..., order].reshape(maps.shape), texture).flatten(2)
    torch.testing.assert_close(shuffled, image, rtol=1e-4, atol=1e-5)


def test_noise_is_drawn_only_with_a_generator() -> None:
    net = build()
    codes = net.sample(*latents())
    draw = lambda seed: net.render(codes, generator=torch.Generator().manual_seed(seed))  # noqa: E731
    assert torch.equal(net.render(codes), net.render(codes))
    assert torch.equal(draw(0), draw(0))
    assert not torch.allclose(draw(0), draw(1), atol=1e-3)


def test_bfloat16_is_close_and_coordinates_stay_exact() -> None:
    net = build()
    with torch.no_grad():
        plain = net(*latents())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = net(*latents())
            encoded = net.synthesis.encoding(net.warp(net.map_structure(latents()[0])))
    assert rough.dtype == encoded.dtype == torch.float32
    assert 0 < (rough - plain).abs().mean() < 0.05 * plain.abs().mean()


def test_channels_last_paints_the_same() -> None:
    net = build(**{"model.synthesis.trunk_kernel": 1})
    plain = net(*latents())
    torch.testing.assert_close(
        copy.deepcopy(net).to(memory_format=torch.channels_last)(*latents()), plain, rtol=1e-3, atol=1e-4
    )


def test_encoding_starts_in_the_published_ranges() -> None:
    encoding = SineEncoding(4096)
    assert 2.0 < encoding.weight.abs().max() <= 4.5**0.5
    assert 0.69 < encoding.bias.abs().max() <= 0.5**0.5


def test_frozen_structure_gets_no_gradients() -> None:
    net = build()
    net.freeze_structure()
    net(*latents()).sum().backward()
    assert all(p.grad is None for p in [*net.warp.parameters(), *net.mapping_structure.parameters()])
    assert all(p.grad is not None for p in net.mapping_texture.parameters())


def test_wrong_texture_codes_are_refused() -> None:
    net = build()
    with pytest.raises(ShapeError, match="texture code"):
        net.synthesize(torch.zeros(1, 2, 16, 16), torch.zeros(1, 4, 16))
