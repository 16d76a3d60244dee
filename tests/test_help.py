"""What commands and documentation tell can be typed: commands, options, files and links exist."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

import m3.cli
from m3.cli import commands, main, parser_of

ROOT = Path(__file__).parents[1]
PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name / "README.md" for name in ("agents", "config", "results/published")),
)
OWN_FILES = (
    "config/mine.yaml",
    "config/compare.yaml",
    "config/benchmarks/corridor.yaml",
    "config/variants/colours.yaml",
    "config/variants/recurrent.yaml",
    "config/variants/mine.yaml",
)
"""Files that readers are told to make."""


def shell_lines(text: str) -> list[list[str]]:
    """The words of every line of a shell."""
    return [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]


def parse(words: list[str]) -> None:
    assert words[0] == "m3", words
    m3.cli.parse(words[1], words[2:])


@pytest.mark.parametrize("name", commands())
def test_every_command_shows_examples_that_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = import_module(f"m3.cli.{name.replace('-', '_')}")
    examples = shell_lines(module.EXAMPLES)
    assert examples
    for words in examples:
        assert words[1] == name
        parse(words)
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert all(line in shown for line in module.EXAMPLES.splitlines())
    assert max(map(len, shown.splitlines())) <= 120
    assert "\n" not in module.HELP
    assert "\n\nexamples:\n" in shown


def test_the_overview_shows_examples_that_parse() -> None:
    for words in shell_lines(m3.cli.EXAMPLES):
        parse(words)


def code_blocks(page: Path) -> str:
    """The indented lines, which can be typed as they are."""
    return "\n".join(re.findall(r"^    (\S.*(?:\\\n.*)*)", page.read_text(), re.M))


def inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_the_documentation_parse(page: Path) -> None:
    for words in shell_lines("\n".join(line for line in code_blocks(page).splitlines() if line.startswith("m3 "))):
        parse(words)
    for code in inline_code(page):
        if mentioned := re.match(r"m3 ([a-z-]+)(.*)", code):
            known = parser_of(mentioned[1]).format_help()
            for option in re.findall(r"--[a-z-]+", mentioned[2]):
                assert re.search(rf"{option}\b", known), code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_the_documentation_names_exist(page: Path) -> None:
    tops = "|".join(
        ("agents", "config", "docs", "envs", "examples", "m3", "slurm", "tests", "workflow", "results/published")
    )
    named = re.findall(rf"(?<![\w/-])(?:{tops})/[\w./*-]+", "\n".join([code_blocks(page), *inline_code(page)]))
    for path in {path.rstrip(".") for path in named} - set(OWN_FILES):
        assert list(ROOT.glob(path)), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        headings = (
            [
                re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-")
                for line in re.findall(r"^#+ (.*)", linked.read_text(), re.M)
            ]
            if anchor
            else []
        )
        assert not anchor or anchor in headings


def test_targets_of_make_exist() -> None:
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for page in PAGES:
        for code in [*inline_code(page), *code_blocks(page).splitlines()]:
            if code.startswith("make "):
                targets = [word for word in shlex.split(code, comments=True)[1:] if "=" not in word]
                assert set(targets) <= set(known), code
