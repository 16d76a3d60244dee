"""Programs of others that train and evaluate as variants: docs/own_agent.md is what they keep to."""
