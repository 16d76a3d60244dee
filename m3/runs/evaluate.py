"""Final scores of a trained run."""

from collections.abc import Sequence
from pathlib import Path

from m3.agent.agent import Agent
from m3.environments import make_environments
from m3.files import hdf5
from m3.files.atomic import refuse_other_kinds
from m3.files.contents import refuse_not_finite
from m3.files.names import SCORES, SCORES_FORMAT
from m3.files.run_folder import identifying, provenance_of
from m3.hub.places import beside, weights_file
from m3.runs.named_code import refuse_unnamed_code
from m3.runs.progress import finish
from m3.runs.weights import fill, load_weights
from m3.seeding import derive
from m3.training.devices import be_deterministic, device_name, select_device
from m3.training.evaluator import EpisodeStatistics, play_episodes


def evaluate(
    run: Path | str,
    episodes: int,
    *,
    output: Path | None = None,
    device: str = "cpu",
    deterministic: bool = False,
    own_code: Sequence[Path | str] = (),
    workers: int = 1,
) -> EpisodeStatistics:
    """Play episodes with a run's weights, and write every episode's return and length.

    Args:
        run: the run's folder, or an agent's address on the Hub, ``hf://OWNER/NAME[@REVISION][/PATH]``.
        episodes: how many to play.
        output: the file of scores; none: the one in the run's folder, or here for an agent on the Hub.
        device: where the networks are: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:N" or "mps".
        deterministic: whether a GPU has to give the same bits every time, which is slower; the CPU always does.
        own_code: Python files and modules that may be executed where the settings in the weights ask for them; what
            the benchmark and variant of these names in ``config`` name may be anyway.
        workers: processes that step the environments; the scores are the same. A script that asks for more than one
            calls this below ``if __name__ == "__main__":``, as these processes import it.

    Returns:
        what was written.

    Raises:
        UserError: the weights are missing or damaged, or the environment's package is.
    """
    output = output or beside(run, SCORES)
    refuse_other_kinds(output)  # before the work, not after it
    where = select_device(device)
    be_deterministic(where, also_on_gpu=deterministic)
    file = weights_file(run)
    weights = load_weights(file)
    settings = weights.settings
    refuse_unnamed_code(settings, own_code, file)
    count = min(settings.evaluation.environments, episodes)
    with make_environments(settings.environment, settings.task, "test", count, workers) as environments:
        agent = Agent(settings, environments.observation_spec, environments.action_spec).eval()
        fill(agent, weights.state, settings, file)
        agent.to(where)
        temperature = settings.evaluation.temperature
        seed = derive(settings.seed, "final evaluation")
        work = play_episodes(agent, environments, episodes, temperature, seed, where)
        scores = finish(work, f"{settings.task} seed {settings.seed} | evaluate", episodes)
    refuse_not_finite(scores.returns, f"{run}: its evaluation")
    content: hdf5.Tree = {
        **identifying(settings),
        "agent_steps": weights.agent_steps,
        "frames_per_step": environments.frames_per_step,
        "temperature": temperature,
        "returns": scores.returns,
        "lengths": scores.lengths,
    }
    hdf5.write(output, SCORES_FORMAT, content, provenance_of(settings, device_name(where)))
    return scores
