"""What holds for all tests: one thread per process, as they run side by side and compare training bit for bit."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
