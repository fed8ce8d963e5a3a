"""A stub model that knows the exact correspondence of synthetic pictures, and such pictures."""

from types import SimpleNamespace

import cv2
import numpy as np
import torch

from coordgan_core import coords

PART_COLOURS = {1: (200, 60, 50), 2: (40, 90, 200), 3: (60, 180, 80)}
BOXES = {1: (-0.7, -0.6, 0.7, 0.7), 2: (-0.4, -0.3, -0.1, 0.0), 3: (0.1, -0.3, 0.4, 0.0)}


def picture(width=96, height=96, shift=(0.0, 0.0)):
    """Return an image, its label map and its shift: three coloured boxes, moved by ``shift`` canonical units.

    The shift is written into the corner pixel, where the stub model reads it.
    """
    image = np.full((height, width, 3), 30, np.uint8)
    labels = np.zeros((height, width), np.uint8)
    x = (2 * np.arange(width) + 1) / width - 1 - shift[0]
    y = (2 * np.arange(height) + 1) / height - 1 - shift[1]
    for part, (left, top, right, bottom) in BOXES.items():
        inside = ((y > top) & (y < bottom))[:, None] & ((x > left) & (x < right))[None]
        labels[inside] = part
        image[inside] = PART_COLOURS[part]
    noise = np.random.default_rng(width).integers(-8, 8, image.shape)
    image = np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)
    return image, labels


class ShiftModel:
    """Finds where the large part's box lies and returns the identity map moved accordingly."""

    config = SimpleNamespace(resolution=64)

    def __init__(self):
        self.calls = 0

    def correspondence(self, images):
        self.calls += 1
        maps = []
        for image in images:
            pixels = ((image + 1) * 127.5).permute(1, 2, 0).cpu().numpy()
            inside = cv2.blur(pixels, (3, 3)).max(-1) > 80
            rows, columns = np.nonzero(inside)
            size = inside.shape[0]
            centre = [((v.min() + v.max()) + 1) / size - 1 for v in (columns, rows)]
            offset = torch.tensor(centre) - torch.tensor([0.0, 0.05])
            maps.append(coords.canonical_grid(32, 32) - offset[:, None, None])
        reliability = torch.full((len(maps), 1, 32, 32), 0.9)
        return SimpleNamespace(map=torch.stack(maps).float(), reliability=reliability, descriptors=None)
