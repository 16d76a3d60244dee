"""An LSTM of one layer: state in, state out."""

import torch
from torch import Tensor, nn

LSTMState = tuple[Tensor, Tensor]
"""Hidden and cell state, (B, width) each."""
_CLOSED = -1e4
"""The input of a gate that is 0 exactly, whatever else is added."""


class LSTM(nn.Module):
    """The parameters of ``nn.LSTM`` under its names, for single steps and for whole sequences.

    For a single step, ``nn.LSTM`` is far slower than a cell, and the compiler takes its parameters from no module.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * width, inputs).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * width, width).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * width).uniform_(-bound, bound))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * width).uniform_(-bound, bound))

    @property
    def _weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0

    def step(self, inputs: Tensor, state: LSTMState) -> LSTMState:
        """Read inputs (B, inputs)."""
        return torch.lstm_cell(inputs, state, *self._weights)

    def unroll(self, inputs: Tensor, state: LSTMState, kept: Tensor | None = None) -> tuple[Tensor, LSTMState]:
        """Return the hidden states (B, T, width) after each of inputs (B, T, inputs), and the last state.

        In one call of a library, which cannot be compiled: there, the compiler gets the steps.

        Args:
            inputs: (B, T, inputs).
            state: before them.
            kept: bool (B, T); inputs where it is false leave zeros.
        """
        weights = self._weights
        if kept is not None:
            inputs = torch.cat((inputs, (~kept)[..., None].to(inputs.dtype)), dim=-1)
            weights = torch.cat((weights[0], self._closing(weights[0])), dim=-1), *weights[1:]
        if torch.compiler.is_compiling():
            outputs = []
            for step in inputs.unbind(1):
                state = torch.lstm_cell(step, state, *weights)
                outputs.append(state[0])
            return torch.stack(outputs, dim=1), state
        hidden, cell = state
        options = (
            True,
            1,
            0.0,
            self.training,
            False,
            True,
        )  # biases, layers, dropout, training, both ways, batch first
        hidden_states, hidden, cell = torch.lstm(inputs, (hidden[None], cell[None]), weights, *options)
        return hidden_states, (hidden[0], cell[0])

    @staticmethod
    def _closing(weight: Tensor) -> Tensor:
        """Weights (4 * width, 1) of an input that closes the input gate and the forget gate: zeros are left."""
        closing = torch.zeros_like(weight[:, :1])
        closing[: len(weight) // 2] = _CLOSED
        return closing
