"""Measure what a GPU can do with one command: correctness, speed, memory, and the result of a short training."""
