"""Drawing in proportion to weights that change."""

import numpy as np

FANOUT = 32
"""Children of a node. Wide nodes make few levels, and so few calls into NumPy: 4 levels for a million weights."""


class SumTree:
    """Non-negative weights whose sums over ever larger groups are kept, so that drawing and changing take O(log n).

    Sums are always added up afresh from the children, in the same order. They depend on the weights alone and not on
    their history: a tree that is rebuilt from its weights draws the very same.

    Args:
        size: number of weights, all 0 at first.
    """

    def __init__(self, size: int) -> None:
        self._levels: list[np.ndarray] = []  # leaves first; (nodes, FANOUT) float64
        nodes = size
        while not self._levels or nodes > 1:
            nodes = -(-nodes // FANOUT)
            self._levels.append(np.zeros((nodes, FANOUT)))

    @property
    def weights(self) -> np.ndarray:
        """All weights, at least ``size`` of them; a view, to be changed by ``set`` only."""
        return self._levels[0].reshape(-1)

    def set(self, indices: np.ndarray, weights: np.ndarray | float) -> None:
        """Change some weights."""
        self.weights[indices] = weights
        for children, level in zip(self._levels, self._levels[1:], strict=False):
            indices = indices // FANOUT
            if indices.size > FANOUT:
                indices = np.unique(indices)
            level.reshape(-1)[indices] = children[indices].sum(axis=1)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw one after the other, each in proportion to the weights of those not drawn yet.

        Args:
            count: how many; at least as many weights must be positive.
            rng: the source of randomness.

        Returns:
            (count,) int64 different indices, in the order in which they were drawn.
        """
        drawn: dict[int, float] = {}
        while True:
            indices = self._descend(count - len(drawn), rng)
            weights = self.weights[indices]
            # rounding may lead to a neighbour of weight 0
            drawn |= {i: w for i, w in zip(indices.tolist(), weights.tolist(), strict=True) if w > 0}
            chosen = np.fromiter(drawn, np.int64, len(drawn))
            if len(drawn) == count:
                break
            self.set(chosen, 0.0)
        self.set(chosen, np.fromiter(drawn.values(), np.float64, count))
        return chosen

    def _descend(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw independently, from the root to the leaves."""
        rest = rng.random(count) * self._levels[-1].sum()
        nodes = np.zeros(count, dtype=np.int64)
        each = np.arange(count)
        for level in reversed(self._levels):
            children = level.take(nodes, axis=0)
            sums = children.cumsum(axis=1)
            child = (sums > rest[:, None]).argmax(axis=1)
            rest -= sums[each, child] - children[each, child]
            nodes = nodes * FANOUT + child
        return nodes
