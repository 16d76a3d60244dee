"""Measure what a GPU can do with one command: correctness, speed, memory, and the curves of real training."""
