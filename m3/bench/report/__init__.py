"""What a GPU can do, measured by one command: correctness, speed, memory, and what a short training comes to."""
