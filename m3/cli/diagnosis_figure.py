"""Draw the diagnoses of several runs."""

import argparse
from pathlib import Path

HELP = "draw the diagnoses of a benchmark's runs, as a figure and a table"

EXAMPLES = """\
m3 diagnosis-figure --runs $RUN --output mine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    help = "folders of scored and diagnosed runs of one benchmark"
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="FOLDER", help=help)
    help = "the benchmark's name in figures (default: its short name)"
    parser.add_argument("--benchmark-label", default="", metavar="LABEL", help=help)
    help = "names of variants in figures, in the order in which to show them"
    parser.add_argument("--labels", nargs="*", default=[], metavar="VARIANT=LABEL", help=help)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where to write the figure and the table"
    )


def run(args: argparse.Namespace) -> int:
    from m3.analysis import catalog
    from m3.analysis.captions import diagnosis_caption
    from m3.analysis.diagnosis import read_diagnoses, table_files
    from m3.analysis.figures.diagnosis import diagnosis_figure
    from m3.analysis.style import save, style
    from m3.cli import label, variant_labels
    from m3.files.atomic import atomic_file

    if args.benchmark_label:
        label("benchmark-label", args.benchmark_label)
    diagnoses = read_diagnoses(args.runs, variant_labels(args.labels), args.benchmark_label)
    figure, table = (entry.name for entry in catalog.DIAGNOSIS)
    with style():
        save(diagnosis_figure(diagnoses), args.output, figure, diagnosis_caption(diagnoses))
    for suffix, text in table_files(diagnoses).items():
        with atomic_file(args.output / f"{table}.{suffix}") as file:
            file.write(text.encode())
    print(args.output / f"{figure}.png")
    print(args.output / f"{table}.md")
    return 0
