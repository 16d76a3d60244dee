"""The world model: a retentive network that predicts blocks of tokens, rewards and ends."""
