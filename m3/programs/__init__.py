"""Other programs that train and evaluate as variants; docs/own_agent.md describes what they must do."""
