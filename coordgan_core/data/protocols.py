"""Evaluation protocols: how the classes of a data set are merged before they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordgan_core.errors import ConfigError
from coordgan_core.labels import LabelClasses, LabelMap, lookup_table, merge_classes

CELEBAMASK_CLASSES = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
"""The parts of CelebAMask-HQ by class id, which is also the order in which its part masks are painted."""


@dataclass(frozen=True)
class Protocol:
    """A named merge of source classes.

    Args:
        name: What it is called on the command line.
        class_names: Names of the merged classes by id; 0 is background.
        parts: (source class, merged id), in the order in which part masks are painted; later ones overwrite.
            All other source classes become background.
        source_names: Names of the source classes by id, where label maps bring no ``classes.json``.
        excluded: Merged ids that are left out of means.
    """

    name: str
    class_names: tuple[str, ...]
    parts: tuple[tuple[str, int], ...]
    source_names: tuple[str, ...]
    excluded: tuple[int, ...] = ()

    @property
    def classes(self) -> LabelClasses:
        """The merged label classes."""
        return LabelClasses.from_names(self.class_names)

    @property
    def lut(self) -> NDArray[np.uint8]:
        """The table ``uint8 [256]`` from source ids to merged ids."""
        return self.lut_for(self.source_names)

    def lut_for(self, names: Sequence[str]) -> NDArray[np.uint8]:
        """Return the table ``uint8 [256]`` for label maps whose classes have these names by id.

        Raises:
            ConfigError: None of the protocol's parts is among the names.
        """
        merged = dict(self.parts)
        groups = {index: merged[name] for index, name in enumerate(names) if name in merged}
        if not groups:
            raise ConfigError(
                f"the protocol {self.name} knows none of the classes {', '.join(names)}",
                expected=f"some of {', '.join(merged)}",
                remedy="choose the protocol that belongs to these labels, or none",
            )
        return lookup_table(groups)

    def merge(self, labels: LabelMap, names: Sequence[str] | None = None) -> LabelMap:
        """Merge a label map ``uint8 [H, W]`` of the source classes, whose names by id are ``names``."""
        return merge_classes(labels, self.lut if names is None else self.lut_for(names))


def _plain(name: str, count: int, excluded: tuple[int, ...] = ()) -> Protocol:
    names = ("background", *(f"part {index}" for index in range(1, count)))
    parts = tuple((part, index) for index, part in enumerate(names) if index)
    return Protocol(name, names, parts, names, excluded)


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        # fact sheet section 5: painted as skin, lips, eyes, brows, ears, nose, mouth
        Protocol(
            name="celebamask-7",
            class_names=("background", "mouth", "eye", "brow", "ear", "nose", "face"),
            parts=(
                ("skin", 6), ("l_lip", 1), ("u_lip", 1), ("l_eye", 2), ("r_eye", 2), ("l_brow", 3),
                ("r_brow", 3), ("l_ear", 4), ("r_ear", 4), ("nose", 5), ("mouth", 1),
            ),
            source_names=CELEBAMASK_CLASSES,
        ),
        _plain("datasetgan-face-34", 34, excluded=(17, 25)),  # hair and neck
        _plain("datasetgan-car-20", 20),
    )
}  # fmt: skip


def protocol(name: str) -> Protocol:
    """Return the protocol called ``name``.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in PROTOCOLS:
        raise ConfigError(
            f"there is no protocol {name!r}",
            expected=f"one of {', '.join(PROTOCOLS)}",
            remedy="pass one of these names",
        )
    return PROTOCOLS[name]
