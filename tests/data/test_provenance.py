import platform
import subprocess

import numpy as np
from experience import provenance

from m3.files.provenance import ATTRIBUTES, git_state


def test_attributes_say_what_made_a_file():
    attributes = provenance().attributes()
    assert set(attributes) == ATTRIBUTES
    assert attributes["seeds"] == [1, 2]
    assert f"numpy=={np.__version__}" in attributes["packages"]
    assert attributes["host"] == platform.node()


def test_the_revision_is_that_of_the_repository(tmp_path):
    assert git_state(tmp_path) == ("unknown", False)

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init")
    written = [
        tmp_path / name for name in ("file", "results/runs/a/scores.h5", "results/published/runs.csv", "figures/a")
    ]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "-a", "v1", "-m", "tags do not stand in for the revision")
    revision = git("rev-parse", "HEAD")
    assert git_state(tmp_path) == (revision, False)
    for path in written:
        path.write_text("second")
        own = path.name in ("scores.h5", "a")
        assert git_state(tmp_path) == (revision, not own), f"{path} is written by M3 itself: {own}"
        git("checkout", ".")
    assert git_state(tmp_path / "file") == ("unknown", False)
