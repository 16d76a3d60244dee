"""Capture what a step does on the device once, and replay it, so that the host starts no kernels."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

_WARM_UP = 3
"""Calls that run as they are: libraries and the optimiser make what they keep in the first of them."""


class Captured:
    """A function of tensors of always the same shapes; from its fourth call on, a CUDA graph of it.

    The graph starts the very kernels that the function would, on copies of the inputs at fixed places, so its results
    are the same to the bit. Where there is no CUDA, the function itself runs on these copies: the same but for speed.

    Args:
        function: reads and changes nothing but its inputs and tensors that stay where they are.
        device: where all of that is.
    """

    def __init__(self, function: Callable[[Any], Any], device: torch.device) -> None:
        self._function = function
        self._device = device
        self._calls = 0
        self._inputs: Any = None
        self._outputs: Any = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, inputs: Any) -> Any:
        self._calls += 1
        if self._calls <= _WARM_UP:
            return self._warm_up(inputs)
        if self._inputs is None:
            self._inputs = tree_map_only(Tensor, torch.clone, inputs)
            self._capture()
        else:
            for place, value in zip(tree_leaves(self._inputs), tree_leaves(inputs), strict=True):
                place.copy_(value, non_blocking=True)
        if self._graph is not None:
            self._graph.replay()
        else:
            self._outputs = self._function(self._inputs)
        return tree_map_only(Tensor, torch.clone, self._outputs)  # the next replay writes to the same places

    def _warm_up(self, inputs: Any) -> Any:
        """Run a call as it is; on CUDA beside the main stream, as graphs are captured."""
        if self._device.type != "cuda":
            return self._function(inputs)
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            outputs = self._function(inputs)
        torch.cuda.current_stream(self._device).wait_stream(side)
        return outputs

    def _capture(self) -> None:
        if self._device.type == "cuda":
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._outputs = self._function(self._inputs)
