"""Formats of label maps: one file a format, one table of them, and export and import over that table."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.formats.base import ExportOptions, Format, Source
from app.domain.formats.cityscapes import Cityscapes
from app.domain.formats.coco import CocoInstances
from app.domain.formats.coco_panoptic import CocoPanoptic
from app.domain.formats.color_png import ColorPng
from app.domain.formats.convert import ConvertEvent, convert, guess
from app.domain.formats.cvat_images import CvatImages
from app.domain.formats.cvat_mask import CvatMask
from app.domain.formats.exports import ExportEvent, ExportReport, export, export_report
from app.domain.formats.imports import ImportEvent, ImportReport, import_labels, import_report, new_classes
from app.domain.formats.index_png import IndexPng
from app.domain.formats.label_studio import LabelStudio
from app.domain.formats.labelme import Labelme
from app.domain.formats.part_masks import PartMasks
from app.domain.formats.pascal_voc import PascalVoc
from app.domain.formats.x_anylabeling import XAnyLabeling
from app.domain.formats.yolo_seg import YoloSeg

_ALL: tuple[Format, ...] = (
    PascalVoc(),
    CocoInstances(),
    CocoPanoptic(),
    Labelme(),
    XAnyLabeling(),
    LabelStudio(),
    CvatMask(),
    CvatImages(),
    YoloSeg(),
    Cityscapes(),
    PartMasks(),
    IndexPng(),
    ColorPng(),
)

FORMATS: Mapping[str, Format] = {each.name: each for each in _ALL}
"""All formats by name, the most usual first."""

__all__ = [
    "FORMATS",
    "ConvertEvent",
    "ExportEvent",
    "ExportOptions",
    "ExportReport",
    "Format",
    "ImportEvent",
    "ImportReport",
    "Source",
    "convert",
    "export",
    "export_report",
    "guess",
    "import_labels",
    "import_report",
    "new_classes",
]
