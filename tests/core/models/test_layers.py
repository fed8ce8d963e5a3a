from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from coordgan_core.models.layers import (
    EqualConv,
    EqualLinear,
    ModulatedConv,
    ResidualDown,
    append_stddev,
    blur,
    modulated_conv_reference,
    pixel_norm,
    upsample,
    upsampling_conv,
)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kernel", "up"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_modulated_conv_is_its_reference(
    kernel: int, up: bool, demodulate: bool, layout: torch.memory_format
) -> None:
    layer = ModulatedConv(6, 5, kernel, 8, demodulate=demodulate, up=up)
    x, code, bias = randn(3, 6, 7, 4).to(memory_format=layout), randn(3, 8, seed=1), randn(5, seed=2)
    want = 1.5 * (modulated_conv_reference(layer, x, code) + bias[:, None, None])
    torch.testing.assert_close(layer(x, code, bias, gain=1.5), want, rtol=1e-4, atol=1e-5)


def test_demodulated_output_has_unit_variance_for_any_style() -> None:
    layer = ModulatedConv(64, 32, 3, 8)
    out = layer(randn(2, 64, 32, 32), 5.0 * randn(2, 8, seed=1), torch.zeros(32))
    assert float(out.detach().std()) == pytest.approx(1.0, abs=0.1)


def test_equal_linear_by_hand() -> None:
    layer = EqualLinear(4, 1, lr_multiplier=0.5, activation=True)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(1.0)
    # (2 * 0.5 / sqrt(4)) * sum(x) + 1 * 0.5, then leaky ReLU with slope 0.2 and gain sqrt(2)
    out = layer(torch.tensor([[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0]]))
    torch.testing.assert_close(out, torch.tensor([[2.5], [-1.5 * 0.2]]) * math.sqrt(2.0))


def test_equal_conv_folds_its_gain_exactly() -> None:
    layer = EqualConv(3, 4, 3)
    with torch.no_grad():
        layer.bias.copy_(randn(4, seed=3))
    x = randn(2, 3, 5, 6)
    want = F.leaky_relu(F.conv2d(x, layer.weight / math.sqrt(27), layer.bias, padding=1), 0.2) * math.sqrt(2)
    torch.testing.assert_close(layer(x), want)


@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 2, 1)])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_residual_block_halves(taps: tuple[int, ...], padding: str) -> None:
    block = ResidualDown(3, 5, blur=taps, padding=padding)  # type: ignore[arg-type]
    assert block(randn(2, 3, 8, 12)).shape == (2, 5, 4, 6)


def test_strided_blur_equals_filter_then_stride() -> None:
    x = randn(2, 3, 8, 10)
    skip = EqualConv(3, 4, 1, bias=False, activation=False, blur=(1, 3, 3, 1))
    filtered = blur(x, (1, 3, 3, 1), (1, 1))
    want = F.conv2d(filtered, skip.weight * skip.scale, stride=2)
    torch.testing.assert_close(skip(x), want)


def test_blur_keeps_the_mean_and_its_taps() -> None:
    impulse = torch.zeros(1, 1, 7, 7)
    impulse[0, 0, 3, 3] = 1.0
    out = blur(impulse, (1, 2, 1), (1, 1))
    torch.testing.assert_close(out[0, 0, 3, 2:5], torch.tensor([1.0, 2.0, 1.0]) / 8.0)
    assert out.sum() == pytest.approx(1.0)


def test_upsample_is_bilinear_inside() -> None:
    x = randn(1, 2, 6, 5)
    want = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(upsample(x)[..., 1:-1, 1:-1], want[..., 1:-1, 1:-1])


def test_pixel_norm_gives_unit_mean_square() -> None:
    torch.testing.assert_close(pixel_norm(randn(3, 16)).square().mean(1), torch.ones(3))


def test_minibatch_stddev_by_hand() -> None:
    x = torch.tensor([0.0, 10.0, 2.0, 10.0])[:, None, None, None].expand(4, 1, 2, 2)
    out = append_stddev(x, 2)  # groups (0, 2) and (1, 3): deviations 1 and 0
    assert out.shape == (4, 2, 2, 2)
    torch.testing.assert_close(out[:, 1, 0, 0], torch.tensor([1.0, 1e-4, 1.0, 1e-4]), rtol=1e-3, atol=1e-5)
    assert append_stddev(x[:3], 2).shape == (3, 2, 2, 2)  # a batch that 2 does not divide


def test_styles_start_at_one() -> None:
    layer = ModulatedConv(3, 4, 3, 8)
    _, style, _ = layer.scales(torch.zeros(2, 8), 1.0)
    assert torch.equal(style, torch.ones(2, 3))


def test_upsampling_conv_keeps_the_level_and_the_place() -> None:
    impulse = torch.zeros(1, 1, 3, 3)
    impulse[0, 0, 1, 1] = 1.0
    flat = upsampling_conv(torch.ones(1, 1, 5, 6), impulse)
    assert flat.shape == (1, 1, 10, 12)
    torch.testing.assert_close(flat[..., 2:-2, 2:-2], torch.ones(1, 1, 6, 8))
    x = torch.arange(6.0).expand(1, 1, 5, 6)  # a ramp stays the ramp, sampled at the new pixels' centres
    torch.testing.assert_close(upsampling_conv(x, impulse)[0, 0, 4, 2:-2], 0.5 * torch.arange(2, 10) - 0.25)
