"""Painting of the synthetic category: the parts of the figure, with their shading and patterns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coordgan_core.data.synthetic_geometry import EYE_RADII, EYES, FACE_CENTRE, MOUTH, face_distance
from coordgan_core.data.synthetic_style import Array, Colour, Picture, Style, blend, bounding_box


@dataclass(frozen=True)
class _Patch:
    """Canonical positions of the pixels to paint, the look, and the side of a pixel in canonical units."""

    u: Array
    v: Array
    style: Style
    pixel: float


def paint(
    u: Array, v: Array, parts: list[tuple[str, Array]], style: Style, background: Picture, pixel: float
) -> Picture:
    """Paint the figure over a background, ``float32 [H, W, 3]`` in 0..1 (beyond under strong light).

    Args:
        u: Canonical x of each pixel.
        v: Canonical y of each pixel.
        parts: From `part_distances`, back to front.
        style: Colours and patterns.
        background: ``[H, W, 3]``.
        pixel: Side of a pixel in canonical units: outlines fade over this width, which is what averaging
            over the pixel gives.
    """
    picture = background
    painters = {
        "hair": _hair, "clothes": _clothes, "neck": _neck, "ears": _ears, "skin": _skin,
        "brows": _brows, "eyes": _eyes, "nose": _nose, "mouth": _mouth,
    }  # fmt: skip
    for name, distance in parts:
        box = bounding_box(distance < pixel)
        if box is None:
            continue
        cover = np.clip(0.5 - distance[box] / pixel, 0, 1).astype(np.float32)[..., None]
        colour = painters[name](_Patch(u[box], v[box], style, pixel))
        picture[box] += cover * (colour - picture[box])
    if style.glasses:
        _glasses(picture, u, v, style, pixel)
    return picture


def _tinted(colour: Colour, factor: Array) -> Picture:
    tinted: Picture = factor.astype(np.float32)[..., None] * colour
    return tinted


def _lit(u: Array, v: Array, style: Style, strength: float = 0.30) -> Array:
    """Shade an egg-shaped head from the light's side."""
    across, down = u / 0.45, (v - FACE_CENTRE[1]) / 0.6
    lit: Array = 1.0 + strength * np.tanh(style.light[0] * across + style.light[1] * down) - 0.12 * across**2
    return lit


def _skin(at: _Patch) -> Picture:
    u, v, style = at.u, at.v, at.style
    shade = _lit(u, v, style)
    for x, y in EYES:  # sockets
        shade -= 0.16 * np.exp(-((u - x) ** 2 / 0.022 + (v - y + 0.01) ** 2 / 0.007))
    shade -= 0.14 * np.exp(-(u**2 / 0.012 + (v - 0.155) ** 2 / 0.0012))  # below the nose
    shade -= 0.12 * np.exp(-(u**2 / 0.012 + (v - 0.325) ** 2 / 0.0009))  # below the lips
    colour = _tinted(style.skin, shade)
    if style.blush:
        cheeks = np.exp(-((np.abs(u) - 0.22) ** 2 / 0.010 + (v - 0.08) ** 2 / 0.010)) * style.blush
        colour += _tinted(np.array([0.25, -0.25, -0.2], np.float32), cheeks)
    if style.freckles:
        spots = np.clip(np.sin(97 * u + 31 * v) * np.sin(89 * v - 41 * u) - 0.55, 0, 1) * style.freckles
        colour -= _tinted(1 - style.skin * 0.5, spots * (np.abs(v - 0.02) < 0.16))
    if style.beard:
        grown = 1 / (1 + np.exp(-(v - 0.14 - 0.05 * np.cos(9 * u)) / 0.03)) * style.beard
        texture = 0.85 + 0.15 * np.sin(150 * u + 3 * np.sin(60 * v))
        colour += (grown * texture).astype(np.float32)[..., None] * (style.brow - colour)
    return colour


def _hair(at: _Patch) -> Picture:
    u, v, style = at.u, at.v, at.style
    radius = np.hypot(u, v + 0.3)
    if style.strands < 2:  # combed from a parting, in the middle or on one side
        parting = 0.22 * style.strands
        around = np.arctan2(u - parting, -(v - 0.15))
        strands = np.sin(style.frequency * 2.2 * around + 2 * np.sin(7 * radius))
        strands -= 3.0 * np.exp(-((u - parting * (1 + v)) ** 2) / 0.0002) * (v < -0.3)
    elif style.strands == 2:  # waves
        strands = np.sin(style.frequency * 1.3 * v + 1.5 * np.sin(7 * u) + 2 * np.sin(style.frequency * u))
    else:  # curls
        f = style.frequency * 1.6
        strands = np.sin(f * u + 2 * np.sin(f * 0.7 * v)) * np.sin(f * v + 2 * np.sin(f * 0.6 * u)) * 1.6
    gloss = np.exp(-((radius - 0.36) ** 2) / 0.008) * (0.14 + 0.2 * style.light[0] * u) * (1 + 0.6 * strands)
    shade = _lit(u, v, style, 0.22) * (1 + 0.12 * strands) - 0.25 * np.clip(v - 0.1, 0, 1)
    return _tinted(style.hair, shade) + _tinted(np.full(3, 0.45, np.float32), gloss)


def _clothes(at: _Patch) -> Picture:
    u, v, style, pixel = at.u, at.v, at.style, at.pixel
    shade = 1.05 - 0.25 * np.abs(u) + 0.12 * style.light[0] * u
    shade -= 0.28 * np.exp(-(np.clip(face_distance(u, v), 0, None) ** 2) / 0.02)
    colour = _tinted(style.clothes, shade)
    f = style.frequency
    waves = [np.sin(f * 1.6 * v), np.sin(f * 1.6 * u), np.sin(f * u) * np.sin(f * v), np.sin(f * (u + v))]
    if style.pattern < len(waves):
        mask = np.clip(waves[style.pattern] / (f * 1.6 * pixel) + 0.2, 0, 1)
        colour += (mask * 0.85).astype(np.float32)[..., None] * (_tinted(style.accent, shade) - colour)
    collar = np.abs(np.hypot(u / 0.27, (v - 0.50) / 0.235) - 1.0) < 0.12
    colour[collar] = _tinted(style.accent, shade * 0.9)[collar]
    return colour


def _neck(at: _Patch) -> Picture:
    u, v, style = at.u, at.v, at.style
    shadow = 0.42 * np.exp(-(np.clip(face_distance(u, v - 0.02), 0, None) ** 2) / 0.006)
    return _tinted(style.skin * 0.96, _lit(u, v * 0, style, 0.2) - shadow)


def _ears(at: _Patch) -> Picture:
    u, v, style = at.u, at.v, at.style
    across, down = (np.abs(u) - 0.43) / 0.05, (v + 0.03) / 0.085
    hollow = np.exp(-((across**2 + down**2 - 0.35) ** 2) / 0.12)
    reddish = style.skin * np.array([1.0, 0.9, 0.88], np.float32)
    return _tinted(reddish, _lit(u, v, style, 0.2) - 0.30 * hollow)


def _brows(at: _Patch) -> Picture:
    u, v, style = at.u, at.v, at.style
    return _tinted(style.brow, 1 + 0.10 * np.sin(140 * np.abs(u) + 60 * v))


def _eyes(at: _Patch) -> Picture:
    u, v, style, pixel = at.u, at.v, at.style, at.pixel
    colour = _tinted(np.array([0.97, 0.96, 0.95], np.float32), 1 - 3.5 * np.clip(-(v + 0.11), 0, 1))
    for x, y in EYES:
        dx, dy = u - x - style.gaze[0], v - y - style.gaze[1]
        r = np.hypot(dx, dy)
        blend(colour, style.iris * 0.5, np.clip((0.060 - r) / pixel, 0, 1))
        blend(colour, style.iris, np.clip((0.052 - r) / pixel, 0, 1))
        blend(colour, np.full(3, 0.03, np.float32), np.clip((0.025 - r) / pixel, 0, 1))
        glint = np.hypot(dx - 0.017, dy + 0.017)
        blend(colour, np.ones(3, np.float32), np.clip((0.013 - glint) / pixel, 0, 1))
        across = (u - x) / EYE_RADII[0]
        lid = y - EYE_RADII[1] * (1 - across**2)
        blend(colour, style.brow * 0.5, np.clip((0.014 - (v - lid)) / pixel, 0, 1) * (np.abs(across) < 1.1))
    return colour


def _nose(at: _Patch) -> Picture:
    u, v, style, pixel = at.u, at.v, at.style, at.pixel
    shade = _lit(u, v, style) + 0.12 * np.exp(-((u - 0.012 * style.light[0]) ** 2) / 0.0007)
    dark_side = 0.4 + np.clip(-style.light[0] * np.sign(u), 0, 1)
    shade -= 0.30 * np.clip((np.abs(u) - 0.028) / 0.06, 0, 1) * dark_side
    shade += 0.10 * np.exp(-((u**2 + (v - 0.06) ** 2) / 0.0012))
    shade -= 0.14 * np.clip((v - 0.09) / 0.04, 0, 1)
    colour = _tinted(style.skin, shade)
    nostrils = np.hypot((np.abs(u) - 0.042) / 0.022, (v - 0.103) / 0.013)
    blend(colour, style.skin * 0.35, np.clip((1 - nostrils) * 0.02 / pixel, 0, 1))
    return colour


def _mouth(at: _Patch) -> Picture:
    u, v, style, pixel = at.u, at.v, at.style, at.pixel
    lower = v > MOUTH[1]
    shade = np.where(lower, 1.06, 0.86) + 0.16 * np.exp(-(u**2 / 0.004 + (v - 0.265) ** 2 / 0.0003))
    colour = _tinted(style.lips, shade)
    arch = np.clip(1 - (u / 0.16) ** 2, 0, 1)
    half = (0.004 + 0.045 * style.opening) * arch
    gap = np.clip((half - np.abs(v - MOUTH[1] - 0.006)) / pixel, 0, 1)
    blend(colour, np.array([0.18, 0.05, 0.06], np.float32), gap)
    if style.opening > 0.2:
        teeth = gap * np.clip((MOUTH[1] + 0.010 - v) / pixel, 0, 1)
        blend(colour, np.array([0.96, 0.95, 0.92], np.float32), teeth)
    return colour


def _glasses(picture: Picture, u: Array, v: Array, style: Style, pixel: float) -> None:
    box = bounding_box((np.abs(u) < 0.42) & (v > -0.30) & (v < 0.05))
    if box is None:
        return
    u, v, view = u[box], v[box], picture[box]
    side = np.abs(u)
    ring = np.abs(np.hypot((side - 0.17) / 0.135, (v + 0.10) / 0.115) - 1.0) * 0.12
    bridge = np.maximum(np.abs(v + 0.13), side - 0.04)
    arms = np.maximum(np.abs(v + 0.13), np.maximum(0.30 - side, side - 0.385))
    frame = np.minimum(ring, np.minimum(bridge, arms))
    blend(view, style.accent * 0.35, np.clip((0.011 - frame) / pixel + 0.5, 0, 1))
