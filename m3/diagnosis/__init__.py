"""How well a trained world model predicts, on episodes that it has not learnt from."""
