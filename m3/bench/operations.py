"""Arithmetic operations of a step."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class OperationCount(TorchDispatchMode):
    """Counts the additions and multiplications in the matrix products and convolutions within its context.

    Not those of an ``nn.LSTM`` that reads a whole sequence, which are a few percent of a controller step.
    Torch's own counter also tells them apart by module, for which all of them need gradients; imagination has none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result
