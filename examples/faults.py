"""Trains a run with a fault of the authors' code put back, to see what its correction is worth.

In their first release, the end of a step is learnt from the prediction that was made before the step's action.

    snakemake --cores 2 --configfile config/cpu_faults.yaml

trains its runs with this script in place of ``python -m m3 train``, of which it takes all arguments. A run's variant
asks for the fault; runs of other variants train as ever.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

import m3.training.components
from m3.cli import main as m3_main
from m3.files.run_folder import read_resolved
from m3.world_model.losses import WorldModelBatch, WorldModelLosses, world_model_losses
from m3.world_model.world_model import WorldModel


def losses_with_early_terminations(
    model: WorldModel,
    batch: WorldModelBatch,
    codebooks: Mapping[str, Tensor],
    context_length: int,
    curious: bool = True,
) -> WorldModelLosses:
    """Compute the world model's losses, with the end of step t learnt from y_t instead of y_{t+1}.

    y_t predicts observation t from the blocks before it, so it does not know the action that ends the episode.
    """
    blocks = model.embed({name: t[:, :-1] for name, t in batch.tokens.items()}, batch.actions[:, :-1], codebooks)
    outputs = model.predict(blocks, predictions=blocks.shape[1] + 1)
    logits = model.end_head(outputs[:, :-1, -1]).float()
    followed = (batch.mask[:, :-1] & batch.mask[:, 1:]).float()
    ends = batch.terminated[:, :-1].long()
    losses = F.cross_entropy(logits.flatten(0, 1), ends.flatten(), reduction="none").view_as(followed)
    faulty = (losses * followed).sum() / followed.sum().clamp(min=1)
    return world_model_losses(model, batch, codebooks, context_length, curious)._replace(terminations=faulty)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config", type=Path, required=True)
    variant = read_resolved(parser.parse_known_args(arguments)[0].config).variant
    if variant == "fault-end-labels":
        m3.training.components.world_model_losses = losses_with_early_terminations
        print("the end of a step is learnt from the prediction made before its action", flush=True)
    return m3_main(["train", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
