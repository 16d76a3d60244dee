"""Trains a run with a fault of the authors' code put back, to see what its correction is worth: ends learnt too late.

    snakemake --cores 2 --configfile config/cpu_faults.yaml

trains its runs with this script in place of ``python -m m3 train``, of which it takes all arguments. A run's variant
asks for the fault; runs of other variants train as ever.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

import m3.training.components
from m3.cli import main as m3_main
from m3.config.identity import read_resolved
from m3.world_model.losses import WorldModelBatch, WorldModelLosses, world_model_losses
from m3.world_model.world_model import WorldModel


def losses_with_late_ends(
    model: WorldModel, batch: WorldModelBatch, codebooks: Mapping[str, Tensor], context_length: int
) -> WorldModelLosses:
    """The world model's losses where a prediction learns the end of the step after the one whose reward it learns."""
    nothing = torch.zeros_like(batch.terminated[:, :1])
    late = torch.cat((batch.terminated[:, 1:], nothing), dim=1)
    return world_model_losses(model, batch._replace(terminated=late), codebooks, context_length)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config", type=Path, required=True)
    variant = read_resolved(parser.parse_known_args(arguments)[0].config).variant
    if variant == "fault-end-labels":
        m3.training.components.world_model_losses = losses_with_late_ends
        print("ends are learnt a step late", flush=True)
    return m3_main(["train", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
