"""Who may write to an image at a moment: strokes of a person share it, a batch has it for itself."""

from __future__ import annotations

import threading
import time

from coordgan_core.errors import LabelError

_PAUSE_SEC = 0.01


class Claims:
    """Reservations of images; methods may be called from any thread.

    A claim is held by a stroke from its beginning until it is on disk, an entry by a batch while it writes.
    """

    def __init__(self) -> None:
        self._claims: dict[int, int] = {}
        self._entered: set[int] = set()
        self._lock = threading.Lock()

    def claim(self, image_id: int) -> bool:
        """Reserve an image for a stroke; False while a batch writes to it."""
        with self._lock:
            if image_id in self._entered:
                return False
            self._claims[image_id] = self._claims.get(image_id, 0) + 1
            return True

    def release(self, image_id: int) -> None:
        """Give a claim back."""
        with self._lock:
            left = self._claims.get(image_id, 0) - 1
            if left > 0:
                self._claims[image_id] = left
            else:
                self._claims.pop(image_id, None)

    def enter(self, image_id: int) -> bool:
        """Reserve an image for a batch; False while it is claimed, or another batch writes to it."""
        with self._lock:
            if image_id in self._claims or image_id in self._entered:
                return False
            self._entered.add(image_id)
            return True

    def enter_soon(self, image_id: int, timeout_sec: float) -> None:
        """Wait for the strokes of an image that are on their way to disk, then `enter`.

        Raises:
            LabelError: A stroke on the image does not end.
        """
        until = time.monotonic() + timeout_sec
        while not self.enter(image_id):
            if time.monotonic() > until:
                raise LabelError(f"image {image_id} is being painted", remedy="end the stroke and try again")
            time.sleep(_PAUSE_SEC)

    def leave(self, image_id: int) -> None:
        """Give an entry back."""
        with self._lock:
            self._entered.discard(image_id)
