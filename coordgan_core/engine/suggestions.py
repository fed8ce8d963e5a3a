"""Which image to label next, told at the end of a propagation from what its model has seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Codes:
    """Short descriptions of the references and of what was propagated."""

    def __init__(self, references: Sequence[npt.NDArray[np.float32]] = ()) -> None:
        self._references = list(references)
        self._queries: list[tuple[int, float, npt.NDArray[np.float32]]] = []
        self.present: npt.NDArray[np.float32] | None = None
        """The code of the query whose answer comes next."""

    def take(self, image: object, score: object) -> None:
        """Keep the present code as that of an image with this confidence."""
        if self.present is not None and isinstance(image, int) and isinstance(score, float):
            self._queries.append((image, score, self.present))
        self.present = None

    def suggestion(self) -> dict[str, Any] | None:
        """Return the image that would help most as a reference, and why; None where no model was used."""
        if not self._queries:
            return None
        from coordgan_core.confidence import next_best_reference

        count = len(self._references)
        codes = np.stack([*self._references, *(code for _, _, code in self._queries)])
        scores = np.array([1.0] * count + [score for _, score, _ in self._queries])
        found = next_best_reference(codes, scores, range(count))
        return {"image": self._queries[found.index - count][0], "reason": found.reason}
