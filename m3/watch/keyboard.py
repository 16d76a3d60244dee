"""A person's keys as actions."""

import numpy as np

from m3.specs import ActionSpec, DiscreteActions
from m3.watch.online_agent import Decision
from m3.watch.window import Window

_ARROWS = ("up", "down", "left", "right")
_PAIRS = (("left", "right"), ("down", "up"), ("a", "d"), ("s", "w"), ("j", "l"), ("k", "i"), ("f", "h"), ("g", "t"))
"""Keys that lower and raise a dimension of the action."""
_PLAIN = "1234567890abcdefghijklmnopqrstuvwxyz"
"""Keys of actions without names, in order."""
_CRAFTAX = {
    "do": "space",
    "sleep": "tab",
    "rest": "e",
    "descend": ".",
    "ascend": ",",
    "place stone": "r",
    "place table": "t",
    "place furnace": "f",
    "place plant": "p",
    "place torch": "j",
    "make wood pickaxe": "1",
    "make stone pickaxe": "2",
    "make iron pickaxe": "3",
    "make diamond pickaxe": "4",
    "make wood sword": "5",
    "make stone sword": "6",
    "make iron sword": "7",
    "make diamond sword": "8",
    "make iron armour": "y",
    "make diamond armour": "u",
    "shoot arrow": "i",
    "make arrow": "o",
    "make torch": "[",
    "cast fireball": "g",
    "cast iceball": "h",
    "drink potion red": "z",
    "drink potion green": "x",
    "drink potion blue": "c",
    "drink potion pink": "v",
    "drink potion cyan": "b",
    "drink potion yellow": "n",
    "read book": "m",
    "enchant sword": "k",
    "enchant armour": "l",
    "enchant bow": ";",
    "level up dexterity": "]",
    "level up strength": "-",
    "level up intelligence": "=",
}
"""The keys of Craftax's own game, but for moving."""


class Keyboard:
    """Turns what a person presses into actions; without a key, the first action or the middle of a range.

    Args:
        actions: the action space.
        names: of a plain discrete space; may be empty. Directions in names ("upleft", "right fire") are arrow keys;
            "forward" is the one that points up.
    """

    def __init__(self, actions: ActionSpec, names: tuple[str, ...]) -> None:
        self._actions = actions
        self._names = names
        self._window: Window | None = None
        self._keys: dict[frozenset[str], int] = {}
        if isinstance(actions, DiscreteActions) and len(actions.sizes) == 1:
            self._keys = (
                _keys_of(names) if names else {frozenset(key): i for i, key in enumerate(_PLAIN[: actions.sizes[0]])}
            )

    def attach(self, window: Window) -> None:
        """Listen to a window's keys."""
        self._window = window

    def choose(self, decision: Decision) -> np.ndarray:
        """Choose the action of the keys that are pressed now, whatever the agent would do."""
        assert self._window is not None, "attach comes before choose"
        return self.action(self._window.keys())

    def action(self, keys: list[str]) -> np.ndarray:
        """Return the action of keys pressed together, (A,)."""
        if self._keys:
            return np.array([self._index(frozenset(keys))], np.int64)
        values = np.zeros(self._actions.shape)
        for dimension, (lower, higher) in zip(range(len(values)), _PAIRS, strict=False):
            values[dimension] = (higher in keys) - (lower in keys)
        if isinstance(self._actions, DiscreteActions):
            values = np.where(values > 0, np.array(self._actions.sizes) - 1, np.where(values < 0, 1, 0))
        return values.astype(self._actions.dtype)

    def help(self) -> str:
        """Say which keys do what."""
        if self._keys:
            names = self._names or [f"action {index}" for index in self._keys.values()]
            shown = (f"{' + '.join(sorted(keys)) or 'none'}: {names[index]}" for keys, index in self._keys.items())
            return ", ".join(shown) + "; Escape ends"
        pairs = _PAIRS[: self._actions.shape[0]]
        return (
            ", ".join(f"{low}/{high}: dimension {index}" for index, (low, high) in enumerate(pairs)) + "; Escape ends"
        )

    def _index(self, pressed: frozenset[str]) -> int:
        """Return the action of the most keys that are all pressed."""
        matching = [keys for keys in self._keys if keys <= pressed]
        return self._keys[max(matching, key=len)] if matching else 0


def _keys_of(names: tuple[str, ...]) -> dict[frozenset[str], int]:
    keys = {}
    for index, name in enumerate(names):
        if name in _CRAFTAX:
            keys[frozenset({_CRAFTAX[name]})] = index
            continue
        parts = [arrow for arrow in _ARROWS if arrow in name]
        parts += ["up"] if "forward" in name else []
        parts += ["space"] if "fire" in name else []
        keys[frozenset(parts)] = index
    return keys
