"""The retentive network written from its definition: one token after the other, one head's memory as one matrix."""

import torch
from torch import Tensor
from torch.nn import functional as F

from m3.nn.retnet import RetentionLayer, RetNet


class SlowRetNet:
    """A network's parameters, run token by token.

    Args:
        net: where the parameters come from.
        scales: memory of the fastest and the slowest head, in blocks.
    """

    def __init__(self, net: RetNet, scales: tuple[float, float]) -> None:
        self._net = net
        ratio = scales[1] / scales[0]
        steps = max(net.heads - 1, 1)
        self._decays = [
            1 - 1 / (scales[0] * ratio ** (head / steps) * net.tokens_per_block) for head in range(net.heads)
        ]

    def run(self, context: Tensor, placeholders: Tensor) -> tuple[Tensor, Tensor]:
        """Blocks (T, L, E) and placeholders (K, E): outputs of all blocks, and of predictions of steps 0 to T."""
        tokens = list(context.flatten(0, 1))
        predictions = [list(placeholders) for _ in range(len(context) + 1)]
        block = self._net.tokens_per_block
        for layer in self._net.layers:
            memory = torch.zeros(self._net.heads, *[self._net.width // self._net.heads] * 2)
            outputs, after_block = [], [memory]
            for position, token in enumerate(tokens):
                output, memory = self._token(layer, token, position, memory)
                outputs.append(output)
                if (position + 1) % block == 0:
                    after_block.append(memory)
            for step, queue in enumerate(predictions):
                memory = after_block[step]
                for i, token in enumerate(queue):
                    queue[i], memory = self._token(layer, token, step * block + i, memory)
            tokens = outputs
        return torch.stack(tokens).view_as(context), torch.stack([torch.stack(queue) for queue in predictions])

    def _token(self, layer: RetentionLayer, x: Tensor, position: int, memory: Tensor) -> tuple[Tensor, Tensor]:
        normed = F.layer_norm(x, x.shape, layer.norm1.weight, layer.norm1.bias, eps=1e-6)
        q, k, v, g = layer.qkvg_proj(normed).unflatten(0, (4, len(memory), -1))
        q, k = (_rotated(t, position) for t in (q, k))
        k = k / k.shape[-1] ** 0.5
        memory = torch.stack([g * s + torch.outer(*kv) for g, s, *kv in zip(self._decays, memory, k, v, strict=True)])
        heads = [F.layer_norm(query @ s, query.shape, eps=1e-6) for query, s in zip(q, memory, strict=True)]
        x = x + layer.out_proj(torch.cat(heads) * F.silu(g.flatten()))
        normed = F.layer_norm(x, x.shape, layer.norm2.weight, layer.norm2.bias, eps=1e-6)
        return x + layer.linear2(F.silu(layer.linear1(normed))), memory


def _rotated(heads: Tensor, position: int) -> Tensor:
    """Each interleaved pair as a complex number, turned by its angle."""
    pairs = torch.view_as_complex(heads.double().unflatten(-1, (-1, 2)).contiguous())
    angles = position / 10000 ** torch.linspace(0, 1, pairs.shape[-1], dtype=torch.float64)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2).to(heads.dtype)
