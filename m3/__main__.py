"""``python -m m3``, the same program as ``m3``."""

import sys

from m3.cli import main

sys.exit(main())
