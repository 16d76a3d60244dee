"""Downloading the weights of the perceptual distance, from a server of this machine."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from m3.cli import main
from m3.errors import ExitStatus
from m3.files import pretrained


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a server with both files, whose addresses and sums are the expected ones."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in list(pretrained.PRETRAINED):
        content = name.encode() * 1000
        (folder / name).write_bytes(content)
        expected = (f"http://127.0.0.1:{server.server_port}/{name}", hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(pretrained.PRETRAINED, name, expected)
    monkeypatch.setattr(pretrained, "_ATTEMPTS", 1)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    yield folder
    server.shutdown()


def test_what_is_missing_is_downloaded(site: Path) -> None:
    first, second = pretrained.PRETRAINED
    assert main(["pretrained", first]) == ExitStatus.FINISHED
    (site / first).unlink()
    assert main(["pretrained"]) == ExitStatus.FINISHED
    assert Path("pretrained", second).read_bytes() == (site / second).read_bytes()


@pytest.mark.parametrize("fault", ["another file", "missing", "no server"])
def test_what_cannot_be_downloaded_leaves_nothing_and_says_what_to_do(
    site: Path, fault: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(pretrained.PRETRAINED))
    if fault == "another file":
        (site / name).write_bytes(b"a page that says that you are not logged in")
    elif fault == "missing":
        (site / name).unlink()
    else:
        monkeypatch.setitem(pretrained.PRETRAINED, name, ("http://127.0.0.1:1/x", "0" * 64))
    assert main(["pretrained", name]) == ExitStatus.ERROR
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {name} cannot be downloaded (")
    assert "put it into pretrained/ by hand (from http://127.0.0.1:" in line
    assert "no-perceptual" in line
    assert list(Path("pretrained").iterdir()) == []


def test_a_misspelt_name_is_told(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrained", "vgg16.pth"]) == ExitStatus.ERROR
    assert "did you mean 'vgg16-397923af.pth'?" in capsys.readouterr().err
