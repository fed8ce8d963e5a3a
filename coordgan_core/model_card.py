"""Give a model file another card: only its header changes, its tensors are copied as they are. No PyTorch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from coordgan_core.errors import ModelError
from coordgan_core.files import atomic_path
from coordgan_core.snapshot import KEY_CARD, ModelCard, inspect

_ALIGNMENT = 8  # of the tensors behind the header, as the format asks


def write_with_card(source: str | Path, target: str | Path, card: ModelCard) -> None:
    """Write a model file with another card; ``target`` may be the file itself.

    Raises:
        ModelError: ``source`` is no sound model file.
        DiskFullError: ``target`` cannot be written; it is then unchanged.
    """
    source = Path(source)
    inspect(source)
    with source.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        header["__metadata__"][KEY_CARD] = json.dumps(card.to_json())
        raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        raw += b" " * (-len(raw) % _ALIGNMENT)
        with atomic_path(target) as temporary, temporary.open("wb") as out:
            out.write(len(raw).to_bytes(8, "little") + raw)
            shutil.copyfileobj(stream, out)
    written = inspect(target)
    if written.card != card:
        raise ModelError(f"the card of {target} cannot be stored", expected="plain text and numbers")
