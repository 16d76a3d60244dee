"""Time the same steps in several processes at once, like several runs that share a machine."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from statistics import harmonic_mean
from threading import Barrier

import torch

from m3.bench.options import BenchOptions
from m3.bench.timing import Bench, Timing
from m3.training.devices import be_deterministic


def time_parts(options: BenchOptions, steps: int, warmup: int, processes: int) -> list[Timing]:
    """Time every part that the options ask for, in one process or in several that share the CPU's threads or the GPU.

    Of several, ``seconds`` is that with which ``processes / seconds`` is their steps per second, all together; the
    fastest and slowest are those of any; memory and imagined steps are those of all.
    """
    if processes == 1:
        be_deterministic(options.device)
        bench = Bench(options.settings, options.device, options.stored_steps, options.graphs, options.recompute)
        return [bench.time(part, steps, warmup) for part in options.parts]
    context = multiprocessing.get_context("spawn")
    threads = max(1, torch.get_num_threads() // processes)
    pool = ProcessPoolExecutor(processes, context, initializer=torch.set_num_threads, initargs=(threads,))
    with context.Manager() as manager, pool:
        meeting = manager.Barrier(processes)
        works = [pool.submit(_time_parts, options, steps, warmup, meeting) for _ in range(processes)]
        timings = [work.result() for work in works]
    return [_all_together(list(same)) for same in zip(*timings, strict=True)]


def _time_parts(options: BenchOptions, steps: int, warmup: int, meeting: Barrier) -> list[Timing]:
    """Time every part, together with the others that come to the meeting before each."""
    try:
        be_deterministic(options.device)
        bench = Bench(options.settings, options.device, options.stored_steps, options.graphs, options.recompute)
        timings: list[Timing] = []
        for part in options.parts:
            meeting.wait()
            timings.append(bench.time(part, steps, warmup))
        return timings
    except BaseException:
        meeting.abort()  # else the others would wait for this one
        raise


def _all_together(same: list[Timing]) -> Timing:
    imagined = [timing.imagined_steps_per_second for timing in same if timing.imagined_steps_per_second is not None]
    return Timing(
        part=same[0].part,
        batch_size=same[0].batch_size,
        seconds=harmonic_mean([timing.seconds for timing in same]),
        fastest=min(timing.fastest for timing in same),
        slowest=max(timing.slowest for timing in same),
        steps=same[0].steps,
        peak_memory_gb=sum(timing.peak_memory_gb for timing in same),
        imagined_steps_per_second=sum(imagined) if imagined else None,
        gflop=same[0].gflop,
    )
