"""A job on the cluster that reports what it finds there."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from m3.config.plan import Plan
from m3.doctor.checks import Finding
from m3.doctor.submission import options

_WAIT_SECONDS = 600
_LOOK = "import platform, torch; print(platform.node(), torch.__version__, torch.cuda.device_count())"


def try_job(profile: Mapping[str, Any], plan: Plan) -> Iterator[Finding]:
    """Submit a job with the resources of the experiment's first run's training, and wait for it.

    The job looks for this Python and for this folder, into which it writes.
    """
    asked = plan.resources[next(iter(plan.runs)).benchmark].train
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=Path.cwd()) as folder:
        output = Path(folder, "output")
        command = [
            *("sbatch", "--wait", *options(profile, asked, "train"), "--time=5", f"--output={output}"),
            f"--wrap={sys.executable} -c '{_LOOK}'",
        ]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WAIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            job = (error.stdout or b"").decode().strip()
            subprocess.run(["scancel", job], check=False)
            yield Finding("note", "job", f"{job} did not start and end within {_WAIT_SECONDS // 60} minutes")
            return
        seen = output.read_text().strip() if output.exists() else ""
    if not seen and result.returncode == 0:
        yield Finding("problem", "job", "its file does not arrive here: the folder is not shared with the nodes")
    elif result.returncode != 0:
        yield Finding("problem", "job", (seen or result.stderr).strip().rpartition("\n")[2])
    else:
        node, version, gpus = seen.rpartition("\n")[2].split()
        text = f"on {node} with torch {version}, {gpus} GPUs"
        yield Finding("works" if int(gpus) >= asked.gpu else "problem", "job", text)
