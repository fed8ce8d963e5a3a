"""A private build of PyTorch in place of the installed one: the variable that names it, and its use.

Standard library only: it has to run before PyTorch is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

TORCH_VARIABLE = "COORDLABEL_TORCH"
"""Names the folder that holds the package ``torch``; processes that are started inherit it."""

EXIT_TORCH = 86
"""Exit code of an engine whose private build of PyTorch cannot be loaded."""


PROBE_FLAG = "--probe"
"""With it the engine only tells which PyTorch it has and on what it computes."""


def use_torch_folder(environment: MutableMapping[str, str] | None = None) -> Path | None:
    """Let ``import torch`` find the build that the environment names; return its folder, None without one.

    A folder without PyTorch is forgotten, so that the installed build serves.
    """
    variables = os.environ if environment is None else environment
    named = variables.get(TORCH_VARIABLE)
    if not named or "torch" in sys.modules:
        return None
    folder = Path(named)
    if not (folder / "torch" / "__init__.py").is_file():
        del variables[TORCH_VARIABLE]
        return None
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder
