"""See what an agent sees: videos, a window, dreams, stored episodes."""
