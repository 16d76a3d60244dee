"""M3: a modular world-model agent over streams of tokens, and its benchmark suite."""

__version__ = "0.1.0"
