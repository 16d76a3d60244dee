"""Runs a command of M3 as where the packages of training, simulators and figures are not installed."""

import sys
from collections.abc import Callable
from typing import Any

HIDDEN = {
    *("yaml", "tqdm", "psutil", "matplotlib", "pandas", "PIL", "gymnasium", "mujoco", "dm_control", "dm_env", "ale_py"),
    *("jax", "craftax", "tensorboard", "av", "pygame", "snakemake", "rliable", "scipy"),
}


def without_hidden(find: Callable[..., Any]) -> Callable[..., Any]:
    def find_others(name: str, *where: Any) -> Any:
        return None if name.partition(".")[0] in HIDDEN else find(name, *where)

    return find_others


class Finder:
    """One of Python's finders, without what is hidden."""

    def __init__(self, finder: Any) -> None:
        self.find_spec = without_hidden(finder.find_spec)


sys.meta_path[:] = [Finder(finder) for finder in sys.meta_path]

if __name__ == "__main__":
    from m3.cli import main

    sys.exit(main(sys.argv[1:]))
