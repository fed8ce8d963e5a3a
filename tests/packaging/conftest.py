"""Makes the modules of ``packaging/`` importable; behind everything else, so that they hide nothing."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

if str(ROOT / "packaging") not in sys.path:
    sys.path.append(str(ROOT / "packaging"))
