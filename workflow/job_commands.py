"""What the jobs of a run call. Formatted by Snakemake, which fills in the job's resources."""

import shlex
from typing import NamedTuple


class JobCommands(NamedTuple):
    """The commands of one machine.

    Elsewhere than on Slurm, a job waits for a GPU of its own; Slurm gives its jobs their GPUs itself.
    """

    is_slurm_job: bool
    own_gpu: str
    """The script of that name, wherever the workflow came from."""
    slurm_slice: str

    def train(self, command: str) -> str:
        """What trains a run with a command of the experiment's: on Slurm in slices of the job's time limit."""
        if self.is_slurm_job:
            return f"python -u {_word(self.slurm_slice)} {{resources.runtime:q}} {command}"
        return self.with_gpu(f"{command} --wait")  # a training whose Snakemake was killed may still be going on

    def with_gpu(self, command: str) -> str:
        """A command that needs the job's GPU."""
        if self.is_slurm_job:
            return command
        return f"python -u {_word(self.own_gpu)} {{resources.gpu:q}} {{resources.runs_per_gpu:q}} {command}"


def _word(path: str) -> str:
    """A path as one word of a shell, of which Snakemake takes no part for a wildcard."""
    return shlex.quote(path).replace("{", "{{").replace("}", "}}")
