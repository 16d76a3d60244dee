"""Draw steps as pictures: the environment, and next to it what the agent sees and predicts."""

from collections import deque
from collections.abc import Callable

import numpy as np

from m3.runs.loading import LoadedAgent
from m3.specs import DiscreteActions, Modality, Observation, ObservationSpec
from m3.watch.canvas import IMAGINED, INK, QUIET, REAL, SURFACE, Box, Canvas, number
from m3.watch.streams import WatchedStep

WIDTH, HEIGHT = 1280, 720
_SCENE = Box(24, 68, 568, 628)
_INPUT = Box(616, 68, 280, 306)
_OTHER = Box(616, 390, 280, 306)
_ACTIONS = Box(920, 68, 336, 306)
_TRACES = Box(920, 390, 336, 306)
_CAPTION = 26
_ROWS = 11
"""Discrete actions that are listed at most."""
_TRACE_STEPS = 120
_SYMLOG_RANGE = 3.0
"""Vectors are drawn symlog'ed, up to this."""

Captions = tuple[str, str, str]
"""Captions of the scene, of the observation, and of what the agent keeps of it."""

CAPTIONS: Captions = ("environment", "what the agent sees", "what it keeps of it")
REPLAY_CAPTIONS: Captions = ("stored observation", "what the agent sees", "what it keeps of it")
IMAGINED_CAPTIONS: Captions = ("what really happens", "what the agent sees of it", "dream")
PLAY_IMAGINED_CAPTIONS: Captions = ("inside the world model", "the real beginning", "dream")

Draw = Callable[[Observation], np.ndarray | None]
"""An observation as a picture, where it is one."""


class Painter:
    """Paints the steps of one stream, in order.

    Args:
        loaded: the agent.
        action_names: of a plain discrete action space; may be empty.
        draw: an observation as a picture.
        captions: of the three pictures.
    """

    def __init__(self, loaded: LoadedAgent, action_names: tuple[str, ...], draw: Draw, captions: Captions) -> None:
        settings = loaded.settings
        self._title = settings.task
        self._subtitle = f"{settings.benchmark} / {settings.variant} / seed {settings.seed}"
        self._subtitle += f"   after {loaded.agent_steps:,} steps of training"
        self._spec = loaded.observation_spec
        self._actions = loaded.action_spec
        self._names = action_names
        self._draw = draw
        self._captions = captions
        self._episode = 0
        self._rewards: deque[float | None] = deque(maxlen=_TRACE_STEPS)
        self._expected: deque[float | None] = deque(maxlen=_TRACE_STEPS)
        self._values: deque[float | None] = deque(maxlen=_TRACE_STEPS)
        self._disagreements: deque[float | None] = deque(maxlen=_TRACE_STEPS)
        self._imagined_begins: deque[bool] = deque(maxlen=_TRACE_STEPS)

    def paint(self, watched: WatchedStep) -> np.ndarray:
        """Paint a step, uint8 (720, 1280, 3)."""
        self._remember(watched)
        canvas = Canvas(WIDTH, HEIGHT)
        self._header(canvas, watched)
        scene, seen, other = self._captions
        if watched.imagined_step is not None:
            other = f"{other}, step {watched.imagined_step}"
        self._observation(canvas, _INPUT, seen, watched.observation, REAL)
        self._observation(canvas, _OTHER, other, watched.other, IMAGINED)
        self._scene(canvas, scene, watched)
        self._action_panel(canvas, watched)
        self._traces(canvas, watched)
        return canvas.array()

    def _remember(self, watched: WatchedStep) -> None:
        traces = (self._rewards, self._expected, self._values, self._disagreements, self._imagined_begins)
        if watched.episode != self._episode:
            self._episode = watched.episode
            for trace in traces:
                trace.clear()
        self._rewards.append(watched.reward)
        self._expected.append(watched.forecast.reward)
        self._values.append(watched.decision.value)
        self._disagreements.append(watched.forecast.disagreement)
        self._imagined_begins.append(watched.imagined_step == 0)

    def _header(self, canvas: Canvas, watched: WatchedStep) -> None:
        width = canvas.text(24, 42, self._title, 24, strong=True)
        canvas.text(24 + width + 16, 42, self._subtitle, 15, QUIET)
        place = f"episode {watched.episode}     step {watched.step}     return {number(watched.episode_return)}"
        canvas.text(WIDTH - 24, 42, place, 15, anchor="rs")

    def _scene(self, canvas: Canvas, caption: str, watched: WatchedStep) -> None:
        canvas.text(_SCENE.x, _SCENE.y + 16, caption, color=QUIET)
        box = _SCENE.below(_CAPTION)
        canvas.rectangle(box, SURFACE)
        if watched.scene is not None:
            canvas.picture(box, watched.scene)
        else:
            imagined = watched.imagined_step is not None
            numbers = scaled_numbers(self._spec, watched.other if imagined else watched.observation)
            canvas.bars(box, numbers, IMAGINED if imagined else REAL)

    def _observation(
        self, canvas: Canvas, box: Box, caption: str, observation: Observation, color: tuple[int, ...]
    ) -> None:
        canvas.text(box.x, box.y + 16, caption, color=color)
        inner = box.below(_CAPTION)
        picture = self._draw(observation)
        if picture is None:
            canvas.bars(inner, scaled_numbers(self._spec, observation), color)
        else:
            canvas.rectangle(inner, SURFACE)
            canvas.picture(inner, picture)

    def _action_panel(self, canvas: Canvas, watched: WatchedStep) -> None:
        box = _ACTIONS.below(_CAPTION)
        one_choice = isinstance(self._actions, DiscreteActions) and len(self._actions.sizes) == 1
        count = len(watched.decision.probabilities[0])
        caption = f"likeliest of {count} actions" if one_choice and count > _ROWS else "actions and their probabilities"
        canvas.text(_ACTIONS.x, _ACTIONS.y + 16, caption, color=QUIET)
        if one_choice:
            self._choices(canvas, box, watched.decision.probabilities[0], int(watched.action[0]))
        else:
            self._dimensions(canvas, box, watched)

    def _choices(self, canvas: Canvas, box: Box, probabilities: np.ndarray, chosen: int) -> None:
        """Draw one row per action; where there are many, the one taken and the likeliest others."""
        shown = np.arange(len(probabilities))
        if len(shown) > _ROWS:
            others = [index for index in np.argsort(-probabilities, kind="stable") if index != chosen]
            shown = np.sort([chosen, *others[: _ROWS - 1]])
        height = min(32, box.height // len(shown))
        for place, index in enumerate(shown):
            row = Box(box.x, box.y + place * height, box.width, height)
            name = self._names[index] if self._names else f"action {index}"
            taken = index == chosen
            baseline = row.y + row.height // 2 + 5
            canvas.text(row.x + 128, baseline, _short(name), 13, INK if taken else QUIET, anchor="rs", strong=taken)
            track = Box(row.x + 140, row.y + 4, row.width - 140 - 48, row.height - 8)
            canvas.rectangle(track, SURFACE)
            share = float(probabilities[index])
            canvas.rectangle(track._replace(width=round(track.width * share)), IMAGINED if taken else (126, 92, 70))
            canvas.text(row.right, baseline, f"{share:.0%}", 13, INK if taken else QUIET, anchor="rs")

    def _dimensions(self, canvas: Canvas, box: Box, watched: WatchedStep) -> None:
        """Draw one row per dimension: how likely its values are, and the one that is taken."""
        probabilities = watched.decision.probabilities
        height = min(48, box.height // len(probabilities))
        for place, shares in enumerate(probabilities):
            row = Box(box.x, box.y + place * height, box.width, height)
            baseline = row.y + row.height // 2 + 5
            canvas.text(row.x, baseline, str(place), 13, QUIET)
            track = Box(row.x + 24, row.y + 3, row.width - 24 - 60, row.height - 6)
            canvas.strip(track, shares)
            value = float(watched.action[place])
            discrete = isinstance(self._actions, DiscreteActions)
            share = (value + 0.5) / len(shares) if discrete else (value + 1) / 2
            canvas.rectangle(Box(track.x + round(share * (track.width - 3)), track.y, 3, track.height), INK)
            canvas.text(row.right, baseline, number(value), 13, anchor="rs")

    def _traces(self, canvas: Canvas, watched: WatchedStep) -> None:
        expected = (f"expected {number(watched.forecast.reward)}", IMAGINED)
        received = [] if watched.reward is None else [(f"received {number(watched.reward)}", REAL)]
        value = (number(watched.decision.value), IMAGINED)
        disagreement = (number(watched.forecast.disagreement), IMAGINED)
        rows = (
            ("reward", [*received, expected], [(self._rewards, REAL), (self._expected, IMAGINED)]),
            ("value", [value], [(self._values, IMAGINED)]),
            ("disagreement", [disagreement], [(self._disagreements, IMAGINED)]),
        )
        height = _TRACES.height // len(rows)
        for place, (name, numbers, lines) in enumerate(rows):
            row = Box(_TRACES.x, _TRACES.y + place * height, _TRACES.width, height)
            canvas.text(row.x, row.y + 16, name, color=QUIET)
            right = row.right
            for text, color in reversed(numbers):
                right -= canvas.text(right, row.y + 16, text, 13, color, anchor="rs") + 16
            plot = row.below(_CAPTION)._replace(height=height - _CAPTION - 6)
            canvas.trace(plot, lines, self._imagined_begins, _TRACE_STEPS)


def scaled_numbers(spec: ObservationSpec, observation: Observation) -> np.ndarray:
    """Scale an observation without pictures to [-1, 1]: vectors symlog'ed, tokens as shares of their vocabulary."""
    parts = []
    for name, modality in spec.modalities.items():
        values = observation[name].astype(np.float64)
        if name == Modality.VECTOR:
            parts.append(np.sign(values) * np.log1p(np.abs(values)) / _SYMLOG_RANGE)
        elif modality.vocabularies:
            parts.append((values / np.maximum(np.array(modality.vocabularies) - 1, 1)).ravel())
    return np.concatenate(parts)


def _short(name: str) -> str:
    return name if len(name) <= 19 else f"{name[:18]}…"
