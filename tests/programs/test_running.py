"""A variant's program is run, stopped and judged."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toy_runs import toy_settings

from m3.cli import main
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files.names import SCORES
from m3.files.run_folder import write_settings
from m3.programs.running import run_program
from m3.runs.loading import load
from m3.runs.train import train

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import json, sys
from pathlib import Path
from m3.files.run_folder import read_resolved
from m3.programs.results import Episodes, Results, write_results

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
run, episodes = Path(arguments["--run"]), int(arguments["--episodes"])
settings = read_resolved(Path(arguments["--config"]))
(run / "arguments.json").write_text(json.dumps(arguments))
print("return", settings.options["value"])
final = Episodes([settings.options["value"]] * episodes, [1] * episodes)
write_results(run, settings, Results(final, agent_steps=80, wall_seconds=0.5))
"""


def settings_of(program: Path | str, **options: object) -> RunSettings:
    return toy_settings("vector", command=f"python '{program}'", options=options)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "an agent; $(of others).py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_a_program_gets_the_documented_arguments_and_its_options(
    program: Path, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(program, value=3.0)
    file = write_settings(run, settings)
    assert main(["run-program", "--config", str(file), "--run", str(run), "--episodes", "5", "--device", "cpu"]) == 0
    given = json.loads((run / "arguments.json").read_text())
    assert given == {"--config": str(file), "--run": str(run), "--episodes": "5", "--device": "cpu"}
    assert "return 3.0" in capfd.readouterr().out
    assert not (run / "lease.json").exists()


def test_results_that_break_the_contract_are_told_and_so_is_their_lack(program: Path, run: Path) -> None:
    settings = settings_of(program, value=float("nan"))
    write_settings(run, settings)
    assert run_program(run, settings, 2, "cpu") == [f"{run / SCORES}: returns: 2 of 2 numbers are not finite"]
    program.write_text("")  # ends well and leaves nothing: results of before do not count
    found = run_program(run, settings, 2, "cpu")
    assert [fault.rpartition(": ")[2] for fault in found] == ["no such file; run the command that makes it"] * 2


def test_a_program_that_fails_is_told_with_its_last_words(program: Path, run: Path) -> None:
    program.write_text("import sys\nprint('learning')\nsys.exit('no more memory')")
    settings = settings_of(program)
    write_settings(run, settings)
    with pytest.raises(UserError, match=r"program of variant 'tiny' ended with status 1: no more memory"):
        run_program(run, settings, 2, "cpu")
    assert json.loads((run / "progress.json").read_text())["attempts"][-1]["state"] == "failed"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program --fast", "'no-such-program' is no program on this machine"),
        ("python no_such_agent.py", "no_such_agent.py does not exist in"),
    ],
)
def test_a_program_that_does_not_exist_is_named(run: Path, command: str, words: str) -> None:
    settings = toy_settings("vector", command=command)
    write_settings(run, settings)
    with pytest.raises(UserError, match=f"command of variant 'tiny': {words}"):
        run_program(run, settings, 2, "cpu")


def test_a_signal_reaches_the_program(program: Path, run: Path) -> None:
    program.write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)")
    file = write_settings(run, settings_of(program))
    command = [sys.executable, "-m", "m3", "run-program", "--config", file, "--run", run, "--episodes", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert "was killed by SIGTERM" in process.stdout.read()
    assert process.returncode == 2


def test_m3_neither_trains_nor_loads_what_a_program_trains(program: Path, run: Path) -> None:
    settings = settings_of(program, value=1.0)
    write_settings(run, settings)
    with pytest.raises(UserError, match="has a program of its own: m3 run-program"):
        train(settings, run)
    with pytest.raises(UserError, match="has no trained agent"):
        load(run)
    with pytest.raises(UserError, match="variant 'tiny' has no command: m3 train trains it"):
        run_program(run, toy_settings("vector"), 2, "cpu")
