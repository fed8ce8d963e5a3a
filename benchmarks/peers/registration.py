"""Deformable registration by SimpleITK: symmetric demons, and affine followed by B-splines.

What is compared is the gray image or, as with the flows, the magnitude of its colour gradients: where colours
differ from picture to picture, edges are what they share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
import torch

from coordgan_core.data.images import resize
from coordgan_core.evaluation import LabelledImage
from coordgan_core.flow import Image, structure_image
from coordgan_core.labels import LabelMap, resize_labels
from peers.carriers import PeerOptions

LEVELS = (4, 2, 1)
"""Shrink factors, coarse to fine."""
DEMONS_STEPS = 40
"""Iterations of demons at each level."""
SMOOTHING_PX = 1.5
"""Gaussian by which demons smooths the displacements, in pixels of the level."""
MESH = (4, 4)
"""Cells of the B-spline's mesh along each axis."""
FARTHEST_PX = 16.0
"""How far a control point of the B-spline may move along an axis."""


class Registration:
    """Register the reference with every query, then carry its labels along.

    Args:
        name: One of `carriers.REGISTRATIONS`.
        reference: The labelled image.
        options: Size and classes.
    """

    def __init__(self, name: str, reference: LabelledImage, options: PeerOptions) -> None:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(torch.get_num_threads())
        self._method, _, kind = name.partition("-")
        self._gradient = kind == "gradient"
        self._size = options.size
        self._labels = sitk.GetImageFromArray(resize_labels(reference.labels, options.size, options.size))
        self._moving = self._prepare(reference.image)

    def carry(self, images: Sequence[Image]) -> Iterator[LabelMap]:
        """Yield the label map ``uint8 [size, size]`` of every image, in order."""
        for image in images:
            transform = self.transform(image)
            moved = sitk.Resample(
                self._labels,
                self._labels,
                transform,
                sitk.sitkNearestNeighbor,
                useNearestNeighborExtrapolator=True,  # edges go on, as with the flows
            )
            yield np.asarray(sitk.GetArrayFromImage(moved), np.uint8)

    def transform(self, image: Image) -> sitk.Transform:
        """Return the map from positions of a query to those of the reference, in pixels."""
        fixed = self._prepare(image)
        moving = self._moving
        if self._method == "demons":
            if not self._gradient:  # demons takes equal brightness for granted
                moving = sitk.HistogramMatching(moving, fixed, 128, 7)
            return _demons(fixed, moving)
        return _bspline(fixed, moving, mutual=not self._gradient)

    def _prepare(self, image: Image) -> sitk.Image:
        small = resize(image, self._size, self._size)
        structure = structure_image(small, "gradient" if self._gradient else "gray")
        return sitk.GetImageFromArray(structure.astype(np.float32) / 255.0)


def _demons(fixed: sitk.Image, moving: sitk.Image) -> sitk.Transform:
    field: sitk.Image | None = None
    for shrink in LEVELS:
        near, far = _shrunk(fixed, shrink), _shrunk(moving, shrink)
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(DEMONS_STEPS)
        demons.SetStandardDeviations(SMOOTHING_PX * shrink)
        if field is None:
            field = demons.Execute(near, far)
        else:
            start = sitk.Resample(field, near, sitk.Transform(), sitk.sitkLinear, 0.0, field.GetPixelID())
            field = demons.Execute(near, far, _edges_continued(start))
    assert field is not None
    return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))


def _edges_continued(field: sitk.Image) -> sitk.Image:
    """Fill the rim that resampling a coarser field leaves at zero from its neighbours."""
    values: npt.NDArray[np.float64] = sitk.GetArrayFromImage(field)
    for axis in (0, 1):
        for edge, inner in ((0, 1), (-1, -2)):
            rim, near = [slice(None)] * 2, [slice(None)] * 2
            rim[axis], near[axis] = edge, inner
            values[tuple(rim)] = values[tuple(near)]
    filled = sitk.GetImageFromArray(values, isVector=True)
    filled.CopyInformation(field)
    return filled


def _shrunk(image: sitk.Image, factor: int) -> sitk.Image:
    if factor == 1:
        return image
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, factor / 2.0), [factor, factor])


def _bspline(fixed: sitk.Image, moving: sitk.Image, *, mutual: bool) -> sitk.Transform:
    # SimpleITK centres the affine map on the fixed image only if told
    affine = sitk.AffineTransform(2)
    affine.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint([s / 2 for s in fixed.GetSize()]))
    method = _method(mutual)
    method.SetOptimizerAsGradientDescent(
        learningRate=1.0,
        numberOfIterations=40,
        convergenceMinimumValue=1e-5,
        convergenceWindowSize=8,
        estimateLearningRate=method.EachIteration,
        maximumStepSizeInPhysicalUnits=0.5,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    _run(method, fixed, moving, affine)

    spline = sitk.BSplineTransformInitializer(fixed, list(MESH), order=3)
    method = _method(mutual)
    # without scale factors: LBFGSB's scales must fit the number of parameters, which they would change
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5,
        numberOfIterations=40,
        lowerBound=-FARTHEST_PX,
        upperBound=FARTHEST_PX,
    )
    method.SetMovingInitialTransform(affine)
    _run(method, fixed, moving, spline)
    return sitk.CompositeTransform([affine, spline])


def _method(mutual: bool) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    if mutual:
        method.SetMetricAsMattesMutualInformation(32)
    else:
        method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([2.0, 1.0])
    return method


def _run(
    method: sitk.ImageRegistrationMethod, fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform
) -> None:
    """Optimise a transform in place; leave it as it was where that makes nothing better."""
    start = transform.GetParameters()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        before = method.MetricEvaluate(fixed, moving)
        method.Execute(fixed, moving)
        worse = method.MetricEvaluate(fixed, moving) > before
    except RuntimeError:  # the images no longer overlap
        worse = True
    if worse:
        transform.SetParameters(start)
