"""The building blocks: equalised and modulated layers, blur and resampling, minibatch standard deviation.

All are those of StyleGAN2 (Karras et al. 2020), which the method builds on (fact sheet sections 1.1 to 1.6).
Gains are folded into weights: leaky ReLU is positively homogeneous, so ``gain * lrelu(x) = lrelu(gain * x)``
and no pass over the image is spent.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Slope of every leaky ReLU on its negative side."""
GAIN = math.sqrt(2.0)
"""Gain behind every leaky ReLU; keeps the variance of its input."""
DEMODULATION_EPS = 1e-8

Padding = Literal["zeros", "reflect"]


def full_precision(tensor: Tensor) -> torch.autocast:
    """Return a context without autocast on the tensor's device, for coordinates and affinities."""
    kind = tensor.device.type
    return torch.autocast(device_type="cpu" if kind == "meta" else kind, enabled=False)


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU; its gain is the caller's, folded into the layer before."""
    return F.leaky_relu(x, SLOPE)


def pixel_norm(z: Tensor) -> Tensor:  # [B, D] -> [B, D]
    """Scale each vector to a root mean square of one."""
    return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)


def _drawn(*shape: int, divisor: float = 1.0) -> Tensor:
    """Return normal noise divided by ``divisor``; on the meta device only its shape.

    There PyTorch would load its compiler to learn the shapes: a second of every command that loads a model.
    """
    empty = torch.empty(shape)
    return empty if empty.is_meta else torch.randn(shape) / divisor


class EqualLinear(nn.Module):
    """Fully connected layer with equalised learning rate: unit-variance weights, scaled where used.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        bias_init: First value of the bias.
        lr_multiplier: Factor on the learning rate of weight and bias.
        activation: Leaky ReLU with its gain behind the layer.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias_init: float = 0.0,
        lr_multiplier: float = 1.0,
        activation: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(_drawn(out_features, in_features, divisor=lr_multiplier))
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        gain = GAIN if activation else 1.0
        self.weight_scale = lr_multiplier * gain / math.sqrt(in_features)
        self.bias_scale = lr_multiplier * gain
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., in]`` to ``[..., out]``."""
        y = F.linear(x, self.weight * self.weight_scale, self.bias * self.bias_scale)
        return activate(y) if self.activation else y


class EqualConv(nn.Module):
    """Convolution with equalised learning rate, padded to keep the size.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the kernel, odd.
        bias: Whether there is a bias.
        activation: Leaky ReLU behind the layer.
        gain: Factor on the output; None takes sqrt(2) with the activation and 1 without.
        blur: Taps of the anti-alias filter of a halving convolution; None keeps the resolution.
        padding: What lies outside of the image; None pads nothing (the output shrinks).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        bias: bool = True,
        activation: bool = True,
        gain: float | None = None,
        blur: tuple[int, ...] | None = None,
        padding: Padding | None = "zeros",
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(_drawn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.gain = gain if gain is not None else (GAIN if activation else 1.0)
        self.scale = self.gain / math.sqrt(in_channels * kernel * kernel)
        self.activation, self.blur, self.padding = activation, blur, padding

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in, H, W]`` to ``[B, out, H, W]`` (or half of it)."""
        kernel = self.weight.shape[-1]
        stride = 1
        if self.blur is not None:
            # Filter and halve at once where nothing stands between (1 x 1); else filter, then stride.
            extra = len(self.blur) - 2 + kernel - 1
            sides = ((extra + 1) // 2, extra // 2)
            x = blur(x, self.blur, sides, stride=2 if kernel == 1 else 1, padding=self.padding or "zeros")
            stride = 1 if kernel == 1 else 2
        elif self.padding is not None and kernel > 1:
            x = _pad(x, (kernel // 2, kernel // 2), self.padding)
        bias = None if self.bias is None else self.bias * self.gain
        y = F.conv2d(x, self.weight * self.scale, bias, stride=stride)
        return activate(y) if self.activation else y


class ResidualDown(nn.Module):
    """Halving residual block: two 3 x 3 convolutions beside a 1 x 1; their sum is divided by sqrt(2)."""

    def __init__(
        self, in_channels: int, out_channels: int, *, blur: tuple[int, ...], padding: Padding = "zeros"
    ) -> None:
        super().__init__()
        self.first = EqualConv(in_channels, in_channels, 3, padding=padding)
        self.second = EqualConv(in_channels, out_channels, 3, blur=blur, padding=padding, gain=1.0)
        self.skip = EqualConv(
            in_channels,
            out_channels,
            1,
            bias=False,
            activation=False,
            gain=1.0 / GAIN,
            blur=blur,
            padding=padding,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in, H, W]`` to ``[B, out, H/2, W/2]``."""
        return torch.add(self.second(self.first(x)), self.skip(x))


class ModulatedConv(nn.Module):
    """Convolution whose input channels a code scales, and whose output is scaled to unit variance.

    The published form builds one kernel per sample, ``w'_oik = s_i w_oik / sqrt(sum_ik (s_i w_oik)^2 +
    1e-8)``. Here the input is scaled, one shared kernel is applied and the output is scaled, which is the
    same; a 1 x 1 kernel is folded with its scales and applied as one batched matrix product.
    `modulated_conv_reference` is the published form.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the kernel, 1 or 3.
        code_dim: Width of the code.
        demodulate: Scale the output to unit variance.
        up: Double the resolution (transposed convolution and [1, 3, 3, 1] blur); needs a kernel of 3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        code_dim: int,
        *,
        demodulate: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(_drawn(out_channels, in_channels, kernel, kernel))
        self.affine = EqualLinear(code_dim, in_channels, bias_init=1.0)
        self.scale = 1.0 / math.sqrt(in_channels * kernel * kernel)
        self.demodulate, self.up = demodulate, up

    def scales(self, code: Tensor, gain: float) -> tuple[Tensor, Tensor, Tensor]:  # [B, D]
        """Return the shared kernel, input scales ``[B, in]`` and output scales ``[B, out]``, float32."""
        with full_precision(code):
            style = self.affine(code.float())
            weight = self.weight * self.scale
            if self.demodulate:
                power = style.square() @ weight.square().sum(dim=(2, 3)).T
                return weight, style, gain * torch.rsqrt(power + DEMODULATION_EPS)
            return weight, style, style.new_full((code.shape[0], weight.shape[0]), gain)

    def forward(self, x: Tensor, code: Tensor, bias: Tensor, gain: float = 1.0) -> Tensor:
        """Return ``gain * (conv(x) + bias)``, ``[B, in, H, W] -> [B, out, H, W]`` (twice that if ``up``)."""
        weight, style, demodulation = self.scales(code, gain)
        if weight.shape[-1] == 1:
            return _batched_1x1(
                x, weight[:, :, 0, 0] * style[:, None] * demodulation[:, :, None], gain * bias
            )
        x = x * style[:, :, None, None].to(x.dtype)
        y = upsampling_conv(x, weight) if self.up else F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        return torch.addcmul(
            (gain * bias).to(y.dtype)[:, None, None], y, demodulation[:, :, None, None].to(y.dtype)
        )


def modulated_conv_reference(layer: ModulatedConv, x: Tensor, code: Tensor) -> Tensor:
    """Apply the layer with one kernel per sample, as the equation has it: its slow specification."""
    outputs = []
    for image, one in zip(x, layer.affine(code), strict=True):
        kernel = layer.weight * layer.scale * one[None, :, None, None]
        if layer.demodulate:
            kernel = kernel / (kernel.square().sum(dim=(1, 2, 3), keepdim=True) + DEMODULATION_EPS).sqrt()
        if layer.up:
            outputs.append(upsampling_conv(image[None], kernel))
        else:
            outputs.append(F.conv2d(image[None], kernel, padding=kernel.shape[-1] // 2))
    return torch.cat(outputs)


def _batched_1x1(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    # [B, I, H, W], [B, O, I], [O] -> [B, O, H, W]; keeps channels_last without a copy
    B, _, H, W = x.shape
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        rows = x.permute(0, 2, 3, 1).reshape(B, H * W, -1)
        y = torch.baddbmm(bias.to(x.dtype), rows, weight.to(x.dtype).transpose(1, 2))
        return y.reshape(B, H, W, -1).permute(0, 3, 1, 2)
    y = torch.baddbmm(bias.to(x.dtype)[:, None], weight.to(x.dtype), x.flatten(2))
    return y.reshape(B, -1, H, W)


def upsampling_conv(x: Tensor, weight: Tensor) -> Tensor:  # [B, I, H, W] -> [B, O, 2H, 2W]
    """Double the resolution with a transposed convolution of stride 2, then blur with [1, 3, 3, 1]."""
    y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return blur(y, (1, 3, 3, 1), (1, 1), gain=4.0)


def upsample(x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, 2H, 2W]
    """Double the resolution with the filter [1, 3, 3, 1], zeros outside."""
    C = x.shape[1]
    kernel = _blur_kernel((1, 3, 3, 1), 4.0, x.device).to(x.dtype)
    return F.conv_transpose2d(x, kernel.expand(C, 1, -1, -1), stride=2, padding=1, groups=C)


def blur(
    x: Tensor,
    taps: tuple[int, ...],
    sides: tuple[int, int],
    *,
    stride: int = 1,
    gain: float = 1.0,
    padding: Padding = "zeros",
) -> Tensor:
    """Filter channels of ``[B, C, H, W]`` with the outer product of ``taps``, scaled to sum to ``gain``.

    Args:
        x: Images.
        taps: The filter along one axis.
        sides: Pixels added before and behind each axis.
        stride: Every how many pixels the result is taken.
        gain: Sum of the filter.
        padding: What is added.
    """
    C = x.shape[1]
    kernel = _blur_kernel(taps, gain, x.device).to(x.dtype)
    return F.conv2d(_pad(x, sides, padding), kernel.expand(C, 1, -1, -1), stride=stride, groups=C)


def _blur_kernel(taps: tuple[int, ...], gain: float, device: torch.device) -> Tensor:
    if torch.compiler.is_compiling():  # a constant of the graph anyway, and compilers cannot see caches
        return _new_blur_kernel(taps, gain, device)
    return _kept_blur_kernel(taps, gain, device)


@functools.lru_cache(maxsize=32)
def _kept_blur_kernel(taps: tuple[int, ...], gain: float, device: torch.device) -> Tensor:
    # No buffer, which a model built on the meta device would lose; fit for autograd wherever made.
    with torch.inference_mode(False):
        return _new_blur_kernel(taps, gain, device)


def _new_blur_kernel(taps: tuple[int, ...], gain: float, device: torch.device) -> Tensor:
    line = torch.tensor(taps, dtype=torch.float32, device=device)
    return torch.outer(line, line) * (gain / sum(taps) ** 2)


def _pad(x: Tensor, sides: tuple[int, int], padding: Padding) -> Tensor:
    before, behind = sides
    return F.pad(x, (before, behind, before, behind), mode="constant" if padding == "zeros" else "reflect")


def append_stddev(x: Tensor, group: int) -> Tensor:  # [B, C, H, W] -> [B, C + 1, H, W]
    """Append the minibatch standard deviation: for a group of images, the mean of its features' deviations.

    Args:
        x: Features.
        group: Most images of a group; the largest divisor of the batch up to it is taken. Members lie a fixed
            stride apart.
    """
    B, _, H, W = x.shape
    size = next(n for n in range(min(group, B), 0, -1) if B % n == 0)
    grouped = x.float().reshape(size, B // size, -1, H, W)
    deviation = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # [B / size]
    feature = deviation.repeat(size)[:, None, None, None].expand(B, 1, H, W)
    return torch.cat([x, feature.to(x.dtype)], dim=1)
