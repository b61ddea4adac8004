"""A button that switches all capture, and a lamp that burns exactly while a device is open; both optional.

On a Raspberry Pi's pins, through gpiozero. The button connects its pin to ground; the lamp hangs, behind its
resistor, between its pin and ground. The lamp follows ``OpenDevices``, never a switch.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

from edge.types import SettingsError

BOUNCE_S = 0.05
"""A contact that closes does so several times; what follows this soon is the same press."""


class Panel:
    """The pins of one kit. Entered before any device is opened and left after all are closed."""

    def __init__(self, *, button: str, led: str, pressed: Callable[[], object]) -> None:
        """*button* and *led* are pins (``GPIO17``) or empty; *pressed* is called from gpiozero's thread."""
        self._wanted = {"panel.button": button, "panel.led": led}
        self._pressed = pressed
        self._button: Any = None
        self._led: Any = None

    def __enter__(self) -> Panel:
        """Take the pins.

        Raises:
            SettingsError: no gpiozero, no such pin, or no pins at all. A lamp that was promised must burn, so
                the kit does not go on without it.
        """
        button, led = self._wanted.values()
        if led:
            self._led = self._take("panel.led", lambda gpio: gpio.LED(led, initial_value=False))
        if button:
            self._button = self._take("panel.button", lambda gpio: gpio.Button(button, bounce_time=BOUNCE_S))
            self._button.when_pressed = self._pressed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.light(False)
        for device in (self._button, self._led):
            if device is not None:
                device.close()

    def light(self, burning: bool) -> None:
        """Switch the lamp; from any thread, one at a time."""
        if self._led is not None:
            self._led.value = burning

    def _take(self, key: str, make: Callable[[Any], Any]) -> Any:
        # lgpio puts a pipe into its working folder, which under systemd is one that nobody may write to.
        os.environ.setdefault("LG_WD", tempfile.gettempdir())
        try:
            import gpiozero  # noqa: PLC0415 -- only kits with a panel need it
        except ImportError:
            raise SettingsError(
                f"{key}: needs gpiozero; sudo apt-get install python3-gpiozero python3-lgpio"
            ) from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # each way to the pins that it tries in vain is told by one error
                return make(gpiozero)
        except (gpiozero.GPIOZeroError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SettingsError(f"{key}: {self._wanted[key]} cannot be used ({reason})") from error
