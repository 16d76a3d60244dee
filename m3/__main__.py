"""``python -m m3 COMMAND``."""

import sys

from m3.cli import main

sys.exit(main())
