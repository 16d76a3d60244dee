"""Arrays in memory: the replay, which windows of it to train on, and how to draw them."""
