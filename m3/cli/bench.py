"""Time training."""

import argparse

HELP = "time a training step of each component on random data, and project a whole run"

EXAMPLES = """\
python -m m3 bench --benchmark atari100k                                   # every part, at the paper's sizes
python -m m3 bench --benchmark dmc500k --variant tiny --component world-model --device cpu
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", required=True, help="atari100k, dmc500k or craftax1m")
    parser.add_argument("--variant", default="m3", help="(default: m3, the paper's sizes)")
    parser.add_argument(
        "--component",
        default="all",
        help="all, tokenizer, world-model, controller, replay, collect, evaluate or checkpoint (default: all)",
    )
    parser.add_argument("--batch", type=int, metavar="N", help="in place of the settings' batch size")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--steps", type=int, default=10, metavar="N", help="timed steps (default: 10)")
    parser.add_argument("--warmup", type=int, default=3, metavar="N", help="steps before them (default: 3)")
    parser.add_argument("--stored-steps", type=int, default=5000, metavar="N", help="in the replay (default: 5000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from m3.bench.timing import Bench, bench_settings, projected_hours
    from m3.errors import unknown_name
    from m3.training.devices import device_name, select_device

    device = select_device(args.device)
    settings = bench_settings(args.benchmark, args.variant, args.batch)
    bench = Bench(settings, device, args.stored_steps)
    asked = args.component.replace("-", "_")
    if asked != "all" and asked not in bench.parts():
        raise unknown_name(f"component of {args.benchmark}", args.component, ["all", *bench.parts()])
    timings = [bench.time(part, args.steps, args.warmup) for part in (bench.parts() if asked == "all" else [asked])]
    hours = projected_hours(settings, timings)
    if args.json:
        rows = [asdict(timing) for timing in timings]
        print(json.dumps({"device": device_name(device), "timings": rows, "hours_of_a_run": hours}, indent=1))
        return 0
    print(f"{args.benchmark} {args.variant} on {device_name(device)}")
    print(
        f"{'part':<12} {'batch':>6} {'median ms':>10} {'min':>9} {'max':>9} {'steps/s':>9} {'GB':>6} {'hours/run':>9}"
    )
    for t in timings:
        batch = t.batch_size or "-"
        hour = f"{hours[t.part]:.2f}" if t.part in hours and args.batch is None else "-"
        print(
            f"{t.part:<12} {batch:>6} {t.seconds * 1e3:>10.2f} {t.fastest * 1e3:>9.2f} {t.slowest * 1e3:>9.2f}"
            f" {1 / t.seconds:>9.1f} {t.peak_memory_gb:>6.2f} {hour:>9}"
        )
        if t.imagined_steps_per_second:
            print(f"{'':<12} {t.imagined_steps_per_second:,.0f} imagined steps per second")
    return 0
