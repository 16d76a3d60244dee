"""Building blocks that know nothing of the agent's parts."""
