"""What holds for all tests."""

import os

# one thread per process, as tests run side by side and compare training bit for bit
os.environ.setdefault("OMP_NUM_THREADS", "1")
