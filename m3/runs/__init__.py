"""A run on disk: train it, stop it, continue it, score it, read it."""
