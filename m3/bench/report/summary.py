"""The report for people: one page, one table of all timings, and figures if matplotlib is installed."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from m3.bench.report.figures import draw_figures
from m3.bench.report.records import Record

_COLUMNS = (
    "benchmark",
    "precision",
    "compile",
    "at_once",
    "part",
    "batch_size",
    "seconds",
    "peak_memory_gb",
    "hours_of_a_run",
)


def write_summary(folder: Path, records: list[Record]) -> None:
    """Write ``report.md``, ``report.json``, ``timings.csv`` and the figures."""
    rows = list(_timings(records))
    (folder / "report.json").write_text(json.dumps([vars(record) for record in records], indent=1) + "\n", "utf-8")
    with (folder / "timings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    notes = draw_figures(folder, rows, records)
    (folder / "report.md").write_text("\n".join([*_page(records, rows), *notes]) + "\n", "utf-8")


def _timings(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for record in records:
        if not record.name.startswith("time ") or record.state != "done":
            continue
        where = {name: record.result[name] for name in _COLUMNS[:4]}
        for timing in record.result["timings"]:
            measured = {name: timing[name] for name in _COLUMNS[4:8]}
            yield {**where, **measured, "hours_of_a_run": record.result["hours_of_a_run"].get(timing["part"])}


def _page(records: list[Record], rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "# Report of a device"
    yield from ("", "| measured | outcome | seconds |", "| --- | --- | --- |")
    for record in records:
        yield f"| {record.name} | {_outcome(record)} | {record.seconds:.0f} |"
    yield from (
        "",
        "| benchmark | precision | compile | runs | part | ms a step | GB | hours a run |",
        "| --- " * 8 + "|",
    )
    for row in rows:
        hours = "" if row["hours_of_a_run"] is None else f"{row['hours_of_a_run']:.2f}"
        where = " | ".join(str(row[name]) for name in _COLUMNS[:5])
        yield f"| {where} | {1e3 * row['seconds']:.2f} | {row['peak_memory_gb']:.2f} | {hours} |"


def _outcome(record: Record) -> str:
    if record.result is None:
        return f"{record.state}: {record.reason.partition(chr(10))[0]}".replace("|", "/")
    result = record.result
    if record.name == "machine":
        return result["device"]
    if record.name == "golden values":
        return f"{result['quantities']} quantities, {len(result['missed'])} missed"
    if record.name.startswith("train "):
        last = f", last evaluation {result['evaluations'][-1][1]:.1f}" if result["evaluations"] else ""
        more = "" if result["finished"] else "; call the report again, with more minutes if these are used up"
        return f"{result['task']}: {result['epochs']} of {result['of_epochs']} epochs{last}{more}"
    if isinstance(result, list):
        return f"{len(result)} values differ" if result else "the same bits"
    return "timed"


def wrong(record: Record) -> bool:
    """Whether a record tells of a fault: of something that failed, or came out otherwise than it should."""
    if record.state == "failed":
        return True
    return bool(
        record.result
        if isinstance(record.result, list)
        else isinstance(record.result, dict) and record.result.get("missed")
    )
