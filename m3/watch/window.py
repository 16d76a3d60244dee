"""A window that shows pictures and hears keys."""

import os
import sys
from types import TracebackType

import numpy as np

from m3.errors import UserError

_INVISIBLE = ("dummy", "offscreen")
"""Drivers that SDL takes where no display answers; nobody would see the window."""


def has_display() -> bool:
    """Tell whether windows can be opened here."""
    chosen = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return sys.platform != "linux" or any(os.environ.get(name) for name in chosen)


class Window:
    """A window of a fixed size, to be used as a context manager.

    Raises:
        UserError: there is no display, or the package is missing.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        if not has_display():
            raise UserError(
                "there is no display for a window (DISPLAY is not set): record a video with --output FILE.mp4, or give "
                "it a virtual one with xvfb-run"
            )
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        os.environ.setdefault("SDL_VIDEO_X11_WMCLASS", "m3")
        try:
            import pygame
        except ModuleNotFoundError as error:
            raise UserError("a window needs the package pygame, which is not installed: pip install pygame") from error
        self._pygame = pygame
        try:
            pygame.display.init()
            if pygame.display.get_driver() in _INVISIBLE and "SDL_VIDEODRIVER" not in os.environ:
                where = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
                raise pygame.error(f"no display answers at {where}")
            self._surface = pygame.display.set_mode((width, height), pygame.SCALED | pygame.RESIZABLE)
        except pygame.error as error:
            raise UserError(
                f"a window cannot be opened here ({error}): record a video with --output FILE.mp4"
            ) from error
        pygame.display.set_caption(title)
        self._clock = pygame.time.Clock()
        self.closed = False
        """Whether the person has closed it, or pressed Escape."""
        self._pressed: list[str] = []

    def show(self, picture: np.ndarray, frames_per_second: int) -> None:
        """Show a picture, uint8 (height, width, 3), for its time."""
        self._pygame.surfarray.blit_array(self._surface, picture.swapaxes(0, 1))
        self._pygame.display.flip()
        self._listen()
        self._clock.tick(frames_per_second)

    def keys(self) -> list[str]:
        """Name the keys that are held down, or were pressed since the last call, such as "left" and "space"."""
        self._listen()
        held = self._pygame.key.get_pressed()
        pressed, self._pressed = self._pressed, []
        names = [*pressed, *(name for name, code in self._codes().items() if held[code])]
        return list(dict.fromkeys(names))

    def _codes(self) -> dict[str, int]:
        names = ["left", "right", "up", "down", "space", "tab", *"abcdefghijklmnopqrstuvwxyz0123456789,.[]-=;"]
        return {name: self._pygame.key.key_code(name) for name in names}

    def _listen(self) -> None:
        for event in self._pygame.event.get():
            if event.type == self._pygame.QUIT:
                self.closed = True
            elif event.type == self._pygame.KEYDOWN:
                self.closed |= event.key == self._pygame.K_ESCAPE
                self._pressed.append(self._pygame.key.name(event.key))

    def __enter__(self) -> "Window":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pygame.display.quit()
