"""The coordinate warping network: the idea of the paper, in one file (fact sheet section 1.2).

Every image of a category shares one *canonical frame*, the square [-1, 1] x [-1, 1]. A structure code w says
where each pixel of its image lies in that frame: a small network, the same for every pixel, takes the pixel's
own position on a regular grid together with w and answers with the position in the frame,

    m(p) = tanh( MLP( [p, w] ) )                     p in the canonical grid, m the *correspondence map*.

Two pixels of two images correspond where their maps agree. The generator sees nothing of w but m, so
every part must be painted from the same canonical positions in every image: correspondence emerges.
Nothing here forces m to cover the frame or to keep its order; that is the work of the Chamfer loss
(`losses.chamfer`) and, where wanted, of the fold-over penalty (`losses.geometry`).

Beyond the paper, each a field of `WarpConfig`: ``residual`` starts at the identity and learns offsets;
``fourier_bands`` lets the network bend more finely; ``grid`` and ``squash`` choose the grid's points and the
output's range.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.config import WarpConfig
from coordgan_core.coords import canonical_grid, check_shape
from coordgan_core.models.layers import full_precision

EDGE = 0.999
"""Where the inverse of tanh is cut off: it is infinite on the border of the frame."""


class WarpingNetwork(nn.Module):  # structure code -> correspondence map
    """Per-pixel network that carries the canonical grid to the correspondence map of a structure code.

    Plain layers with PyTorch's default initialisation, without equalised learning rate, as published.

    Args:
        config: Size, depth, grid and form of the output.
        code_dim: Width of the structure code.
    """

    def __init__(self, config: WarpConfig, code_dim: int) -> None:
        super().__init__()
        self.config, self.code_dim = config, code_dim
        self.coordinate_dim = 2 + 4 * config.fourier_bands
        widths = [self.coordinate_dim + code_dim, *[config.width] * (config.layers - 1), 2]
        layers = [nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)]
        if config.residual:
            nn.init.zeros_(layers[-1].weight)
            nn.init.zeros_(layers[-1].bias)
        self.layers = nn.ModuleList(layers)

    def forward(self, code: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Return the correspondence maps ``float32 [B, 2, H, W]`` of structure codes ``[B, D]``.

        Args:
            code: Structure codes in W space.
            size: ``(H, W)`` of the map; None takes the configuration's square. Positions are continuous, so
                any size is right.
        """
        check_shape(code, f"B {self.code_dim}", "structure code")
        height, width = size or (self.config.resolution, self.config.resolution)
        grid = canonical_grid(height, width, kind=self.config.grid, device=code.device)
        with full_precision(code):
            points = grid.flatten(1).T  # [N, 2]
            offsets = self._network(encode_coordinates(points, self.config.fourier_bands), code.float())
            return self._place(points, offsets).transpose(1, 2).reshape(-1, 2, height, width)

    def _network(self, coordinates: Tensor, code: Tensor) -> Tensor:  # [N, E], [B, D] -> [B, N, 2]
        """Run the MLP on every (pixel, code) pair.

        The first layer is linear in [coordinates, code]: its two halves are computed once a pixel and once a
        code and added, instead of once a pair. `warp_reference` does it pair by pair.
        """
        first, *rest = (layer for layer in self.layers if isinstance(layer, nn.Linear))
        by_pixel, by_code = first.weight[:, : self.coordinate_dim], first.weight[:, self.coordinate_dim :]
        x = F.linear(coordinates, by_pixel)[None] + F.linear(code, by_code, first.bias)[:, None]
        for layer in rest:
            x = layer(F.relu(x))
        return x

    def _place(self, points: Tensor, outputs: Tensor) -> Tensor:  # [N, 2], [B, N, 2] -> [B, N, 2]
        """Turn the network's outputs into positions in the canonical frame."""
        if not self.config.residual:
            return outputs.tanh() if self.config.squash else outputs
        if not self.config.squash:
            return points + outputs
        return torch.tanh(torch.atanh(points.clamp(-EDGE, EDGE)) + outputs)


def encode_coordinates(points: Tensor, bands: int) -> Tensor:  # [N, 2] -> [N, 2 + 4 bands]
    """Append sines and cosines of the coordinates times ``pi 2^k``, k = 0 .. ``bands`` - 1."""
    if bands == 0:
        return points
    frequencies = math.pi * 2.0 ** torch.arange(bands, device=points.device)
    angles = (points[:, :, None] * frequencies).flatten(1)
    return torch.cat([points, angles.sin(), angles.cos()], dim=1)


def warp_reference(network: WarpingNetwork, code: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute the maps as the paper writes them: coordinates and code joined pixel by pixel."""
    grid = canonical_grid(*size, kind=network.config.grid, device=code.device)
    coordinates = encode_coordinates(grid.flatten(1).T, network.config.fourier_bands)
    maps = []
    for one in code:
        x = torch.cat([coordinates, one.expand(len(coordinates), -1)], dim=1)
        for number, layer in enumerate(network.layers):
            x = layer(x.relu() if number else x)
        maps.append(network._place(grid.flatten(1).T, x[None])[0].T.reshape(2, *size))
    return torch.stack(maps)
