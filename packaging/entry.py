"""What the frozen application runs first."""

import sys

from app.frozen import main

sys.exit(main())
