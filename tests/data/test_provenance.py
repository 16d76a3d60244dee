import platform
import subprocess

import numpy as np
from experience import provenance

from m3.files.provenance import ATTRIBUTES, git_revision


def test_attributes_say_what_made_a_file():
    attributes = provenance().attributes()
    assert set(attributes) == ATTRIBUTES
    assert attributes["seeds"] == [1, 2]
    assert f"numpy=={np.__version__}" in attributes["packages"]
    assert attributes["host"] == platform.node()


def test_git_revision_follows_the_repository(tmp_path):
    assert git_revision(tmp_path) == "unknown"

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init")
    (tmp_path / "file").write_text("first")
    git("add", "file")
    git("commit", "-m", "first")
    git("tag", "-a", "v1", "-m", "tags do not stand in for the revision")
    revision = git("rev-parse", "HEAD")
    assert git_revision(tmp_path) == revision
    (tmp_path / "file").write_text("second")
    assert git_revision(tmp_path) == f"{revision}-dirty"
    assert git_revision(tmp_path / "file") == "unknown"
