"""The settings that the report measures, as one file of JSON, so that it needs no YAML."""

import json
from pathlib import Path

from m3.config.schema import Compile, Precision, RunSettings

TASKS = {"atari100k": "Breakout", "dmc500k": "cartpole-swingup", "craftax1m": "Craftax-Symbolic-v1"}
FILE = Path(__file__).with_name("settings.json")


def fixed_settings(
    benchmark: str, variant: str, precision: Precision = "fp32", compile_: Compile = "none"
) -> RunSettings:
    """The settings of a benchmark's run of seed 0, as the files in config/ resolve them, with another precision."""
    content = json.loads(FILE.read_text(encoding="utf-8"))[benchmark][variant]
    return RunSettings.model_validate_json(json.dumps({**content, "precision": precision, "compile": compile_}))


def resolved() -> dict[str, dict[str, object]]:
    """Resolve what the file holds from the files in config/."""
    from m3.config.experiment import Run
    from m3.config.loading import load_run

    return {
        benchmark: {
            variant: load_run(Run(benchmark, variant, task, seed=0)).model_dump(mode="json")
            for variant in ("m3", "tiny")
        }
        for benchmark, task in TASKS.items()
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(resolved(), indent=1) + "\n", encoding="utf-8")
