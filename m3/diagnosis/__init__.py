"""How well a trained world model predicts, on episodes from which it has not learnt."""
