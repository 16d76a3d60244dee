"""Timing of the real components on random data of the real shapes."""
