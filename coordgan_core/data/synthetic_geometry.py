"""Geometry of the synthetic category: the parts of the canonical figure, and smooth invertible maps onto it.

One figure is drawn in the canonical frame, for ever the same: `part_distances`. A sample is that figure
seen through a `Deformation` from the image to the canonical frame, so that masks and correspondences agree
exactly by construction.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EYES = ((-0.165, -0.11), (0.165, -0.11))
BROWS = ((-0.17, -0.245), (0.17, -0.245))
EYE_RADII = (0.110, 0.062)
EARS = ((-0.42, -0.03), (0.42, -0.03))
MOUTH = (0.0, 0.235)
NOSE = (0.0, 0.04)
NECK_PIVOT = (0.0, 0.48)
FACE_CENTRE = (0.0, -0.06)

_SAFE_DETERMINANT = 0.2  # smallest area change of a displacement that is accepted
_NEWTON_STEPS = 12


@dataclass(frozen=True)
class Bump:
    """A displacement under a Gaussian window: shift, scaling and bending about a canonical centre.

    Args:
        centre: Middle of the window.
        sigma: Its widths along x and y.
        shift: Displacement at the centre.
        stretch: Relative scaling along x and y; positive shrinks the feature in the image.
        shear: Vertical displacement per unit of x.
        bend: Vertical displacement per unit of x squared.
    """

    centre: tuple[float, float]
    sigma: tuple[float, float]
    shift: tuple[float, float] = (0.0, 0.0)
    stretch: tuple[float, float] = (0.0, 0.0)
    shear: float = 0.0
    bend: float = 0.0


@dataclass(frozen=True)
class Deformation:
    """Smooth, invertible map from the image to the canonical frame.

    A position is freed of the figure's placement, of the tilt of its head, and then displaced by bumps and
    waves.

    Args:
        scale: Size of the figure; 1 fills the shorter side of the image with the canonical frame.
        angle: Rotation of the whole figure in radians, clockwise in the image.
        shift: Where the canonical centre lies, in units of half the image's shorter side.
        tilt: Further rotation of the head about the neck, in radians.
        bumps: Displacements of single features.
        waves: ``[n, 5]``: amplitude x, amplitude y, frequency x, frequency y, phase of smooth displacements
            of everything.
        strength: Factor on bumps and waves.
    """

    scale: float
    angle: float
    shift: tuple[float, float]
    tilt: float
    bumps: tuple[Bump, ...]
    waves: Array
    strength: float = 1.0

    def to_canonical(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Map positions (in halves of the image's shorter side from its centre) to the canonical frame."""
        x, y = (x - self.shift[0]) / self.scale, (y - self.shift[1]) / self.scale
        x, y = _rotate(x, y, -self.angle)
        x, y = self._untilt(x, y)
        dx, dy = self._displacement(x, y)
        return x + self.strength * dx, y + self.strength * dy

    def to_image(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Invert `to_canonical` by damped Newton steps (error below 1e-6 where the figure is)."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        x = (c * u - s * v) * self.scale + self.shift[0]
        y = (s * u + c * v) * self.scale + self.shift[1]
        h = 1e-4
        for _ in range(_NEWTON_STEPS):
            eu, ev = self.to_canonical(x, y)
            ux, vx = self.to_canonical(x + h, y)
            uy, vy = self.to_canonical(x, y + h)
            a, b, c_, d = (ux - eu) / h, (uy - eu) / h, (vx - ev) / h, (vy - ev) / h
            det = a * d - b * c_
            ru, rv = u - eu, v - ev
            x = x + np.clip((d * ru - b * rv) / det, -0.2, 0.2)
            y = y + np.clip((a * rv - c_ * ru) / det, -0.2, 0.2)
        return x, y

    def _untilt(self, x: Array, y: Array) -> tuple[Array, Array]:
        px, py = NECK_PIVOT
        # the head turns as a whole, the shoulders stay, the neck is in between
        weight = 1.0 / (1.0 + np.exp((y - py + 0.12) / 0.11))
        rx, ry = _rotate(x - px, y - py, -self.tilt * weight)
        return rx + px, ry + py

    def _displacement(self, x: Array, y: Array) -> tuple[Array, Array]:
        dx, dy = np.zeros_like(x), np.zeros_like(y)
        for bump in self.bumps:
            ox, oy = x - bump.centre[0], y - bump.centre[1]
            window = np.exp(-0.5 * ((ox / bump.sigma[0]) ** 2 + (oy / bump.sigma[1]) ** 2))
            dx += window * (bump.shift[0] + bump.stretch[0] * ox)
            dy += window * (bump.shift[1] + bump.stretch[1] * oy + (bump.shear + bump.bend * ox) * ox)
        for ax, ay, fx, fy, phase in self.waves:
            wave = np.sin(fx * x + fy * y + phase)
            dx += ax * wave
            dy += ay * wave
        return dx, dy

    def smallest_area_change(self, points: int = 72) -> float:
        """Return the Jacobian's smallest determinant over the figure; negative where it folds."""
        axis = (np.arange(points) / (points - 1) * 2.0 - 1.0) * 1.25
        x, y = np.meshgrid(axis * self.scale, axis * self.scale)
        u, v = self.to_canonical(x + self.shift[0], y + self.shift[1])
        step = axis[1] - axis[0]
        ux, vx = np.diff(u, axis=1)[:-1] / step, np.diff(v, axis=1)[:-1] / step
        uy, vy = np.diff(u, axis=0)[:, :-1] / step, np.diff(v, axis=0)[:, :-1] / step
        return float((ux * vy - uy * vx).min())


def _rotate(x: Array, y: Array, angle: float | Array) -> tuple[Array, Array]:
    c, s = np.cos(angle), np.sin(angle)
    return c * x - s * y, s * x + c * y


def random_deformation(rng: np.random.Generator) -> Deformation:
    """Draw a pose, proportions and an expression; displacements are weakened until the map nowhere folds."""

    def signed(amount: float) -> float:
        return float(rng.uniform(-amount, amount))

    scale, angle, tilt = float(np.exp(rng.uniform(-0.12, 0.14))), signed(0.16), signed(0.20)
    shift = (signed(0.14), float(rng.uniform(-0.06, 0.10)))
    bumps = (*_head_bumps(rng), *_feature_bumps(rng))
    amplitudes, frequencies = rng.normal(0, 0.012, (4, 2)), rng.uniform(-5, 5, (4, 2))
    waves = np.hstack([amplitudes, frequencies, rng.uniform(0, 2 * np.pi, (4, 1))])
    strength = 1.0
    while True:
        deformation = Deformation(scale, angle, shift, tilt, bumps, waves, strength)
        if deformation.smallest_area_change() >= _SAFE_DETERMINANT or strength < 0.05:
            return deformation
        strength *= 0.85


def _head_bumps(rng: np.random.Generator) -> list[Bump]:
    """Yaw and pitch (features move against the outline), widths of head, jaw, hair and shoulders."""
    yaw, pitch = rng.uniform(-0.13, 0.13), rng.uniform(-0.06, 0.06)
    return [
        Bump((0.0, -0.05), (0.30, 0.42), shift=(yaw, pitch)),
        Bump(NOSE, (0.10, 0.11), shift=(0.35 * yaw, 0.5 * pitch)),
        Bump((0.0, -0.1), (0.75, 0.75), stretch=(rng.uniform(-0.13, 0.13), rng.uniform(-0.10, 0.10))),
        Bump((0.0, 0.36), (0.45, 0.20), stretch=(rng.uniform(-0.22, 0.25), rng.uniform(-0.15, 0.15))),
        Bump((0.0, -0.78), (0.60, 0.26), shift=(rng.uniform(-0.05, 0.05), rng.uniform(-0.10, 0.10))),
        Bump((0.0, -0.38), (0.35, 0.12), shift=(0.0, rng.uniform(-0.05, 0.05)), shear=rng.uniform(-0.2, 0.2)),
        Bump(
            (0.0, 0.80), (0.80, 0.22), stretch=(rng.uniform(-0.18, 0.18), 0.0), shear=rng.uniform(-0.12, 0.12)
        ),
    ]


def _feature_bumps(rng: np.random.Generator) -> list[Bump]:
    """Eyes, brows, nose, mouth and ears: sizes, places and expression."""
    open_, wide, gap = rng.uniform(-0.40, 0.55), rng.uniform(-0.2, 0.2), rng.uniform(-0.03, 0.03)
    lift, frown, thick = rng.uniform(-0.035, 0.03), rng.uniform(-0.20, 0.14), rng.uniform(-0.45, 0.35)
    ear = rng.uniform(-0.35, 0.30)
    bumps = [
        Bump(MOUTH, (0.17, 0.085), stretch=(rng.uniform(-0.25, 0.30), rng.uniform(-0.5, 0.4))),
        Bump(MOUTH, (0.19, 0.11), shift=(rng.uniform(-0.015, 0.015), rng.uniform(-0.03, 0.03)),
             bend=rng.uniform(-1.0, 4.2)),
        Bump(NOSE, (0.10, 0.12), stretch=(rng.uniform(-0.35, 0.35), rng.uniform(-0.25, 0.25))),
    ]  # fmt: skip
    for side, eye, brow, at in zip((-1.0, 1.0), EYES, BROWS, EARS, strict=True):
        wink = rng.uniform(-0.1, 0.1)
        bumps += [
            Bump(eye, (0.11, 0.075), shift=(side * gap, 0.0), stretch=(wide, open_ + wink)),
            Bump(brow, (0.12, 0.055), shift=(0.0, lift), stretch=(0.0, thick), shear=side * frown),
            Bump(at, (0.09, 0.13), stretch=(ear, 0.6 * ear)),
        ]
    return bumps


def part_distances(x: Array, y: Array, *, hair_length: float) -> list[tuple[str, Array]]:
    """Return the parts from back to front, each with its distance (negative inside, canonical units).

    Distances are exact on the outlines, and roughly Euclidean close to them.

    Args:
        x: Canonical positions.
        y: Canonical positions.
        hair_length: Height down to which the hair hangs; below it, the hair is not there.
    """
    face = face_distance(x, y)
    hairline = (y + 0.37 - 1.05 * x**2) * 0.8
    return [
        ("hair", _hair(x, y, hair_length)),
        ("clothes", _clothes(x, y)),
        ("neck", _neck(x, y)),
        ("ears", _nearest(_ellipse(x, y, at, (0.085, 0.13)) for at in EARS)),
        ("skin", face),
        ("hair", np.maximum(hairline, face - 0.02)),  # laps over the face, so that no skin shines through
        ("brows", _nearest(_brow(x, y, at) for at in BROWS)),
        ("eyes", _nearest(_eye(x, y, at) for at in EYES)),
        ("nose", _nose(x, y)),
        ("mouth", mouth_distance(x, y)),
    ]


def face_distance(x: Array, y: Array) -> Array:
    """Return the distance to the outline of the face, which narrows towards the chin."""
    down = np.clip((y - FACE_CENTRE[1]) / 0.51, -1.5, 1.5)
    width = 0.385 * (1.0 - 0.17 * down - 0.05 * down**2)
    distance: Array = (np.sqrt((x / width) ** 2 + down**2) - 1.0) * 0.40
    return distance


def mouth_distance(x: Array, y: Array) -> Array:
    """Return the distance to the outline of the lips."""
    across = (x - MOUTH[0]) / 0.17
    arch = 1.0 - across**2
    top = MOUTH[1] - 0.046 * arch * (1.0 - 0.30 * np.exp(-((x / 0.032) ** 2)))
    bottom = MOUTH[1] + 0.062 * arch
    distance: Array = np.maximum(top - y, y - bottom) * 0.85
    return distance


def _ellipse(x: Array, y: Array, centre: tuple[float, float], radii: tuple[float, float]) -> Array:
    r = np.sqrt(((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2)
    distance: Array = (r - 1.0) * min(radii)
    return distance


def _nearest(distances: Iterable[Array]) -> Array:
    return functools.reduce(np.minimum, distances)


def _hair(x: Array, y: Array, length: float) -> Array:
    cap = _ellipse(x, y, (0.0, -0.20), (0.53, 0.62))
    side = np.abs(x) - 0.53 - 0.05 * np.clip(y + 0.2, 0.0, 1.0)
    hanging = np.maximum(side, y - length + 0.6 * x**2 - 0.1)
    distance: Array = np.where(y < -0.20, cap, hanging)
    return distance


def _clothes(x: Array, y: Array) -> Array:
    out = np.abs(x)
    shoulder = 0.545 + 0.34 * out**2 + 5.0 * np.clip(out - 0.70, 0.0, None) ** 2
    distance: Array = np.maximum((shoulder - y) * 0.8, y - 0.985)
    return np.maximum(distance, -_neckline(x, y))


def _neckline(x: Array, y: Array) -> Array:
    return _ellipse(x, y, (0.0, 0.50), (0.235, 0.20))


def _neck(x: Array, y: Array) -> Array:
    column = np.maximum(np.maximum(np.abs(x) - 0.175, 0.15 - y), y - 0.60)
    below: Array = np.maximum(_neckline(x, y), 0.545 + 0.34 * x**2 - y)
    return np.minimum(column, below)


def _brow(x: Array, y: Array, centre: tuple[float, float]) -> Array:
    across = (x - centre[0]) / 0.13
    middle = centre[1] + 0.030 * across**2
    distance: Array = np.abs(y - middle) - 0.042 * (1.0 - across**2)
    return distance * 0.9


def _eye(x: Array, y: Array, centre: tuple[float, float]) -> Array:
    across = (x - centre[0]) / EYE_RADII[0]
    distance: Array = np.abs(y - centre[1]) - EYE_RADII[1] * (1.0 - across**2)
    return distance * 0.8


def _nose(x: Array, y: Array) -> Array:
    top, bottom = -0.13, 0.09
    down = np.clip((y - top) / (bottom - top), 0.0, 1.0)
    bridge = np.maximum(np.maximum(np.abs(x) - 0.036 - 0.045 * down**2, top - y), y - bottom)
    return np.minimum(bridge, _ellipse(x, y, (0.0, 0.075), (0.095, 0.060)))
