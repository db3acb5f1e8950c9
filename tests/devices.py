"""Where tests of a device's work run: on the emulator always, on a card where `make gpu-test` asks.

    @pytest.mark.parametrize("where", WHERE)     then device(where), or kernels(where) for launches

A test on a card has the marker `gpu`; where there is none it is skipped, with the cause.
"""

from functools import cache

import numpy as np
import pytest
from demitasse.errors import DeviceError
from emulator.device import EmulatedDevice
from emulator.emulated import Emulated

EMULATOR, CARD = "emulator", "card"
WHERE = [EMULATOR, pytest.param(CARD, marks=pytest.mark.gpu)]


@cache
def missing():
    """Why no card can be used here; nothing where one can."""
    from demitasse.kernels.cuda.card import Card

    try:
        Card()
    except DeviceError as error:
        return str(error)
    return ""


def card(precision="fp32"):
    """The first card; the test is skipped without one."""
    from demitasse.kernels.cuda.card import Card

    if missing():
        pytest.skip(f"no card: {missing()}")
    return Card(0, precision)


def device(where, precision="fp32", schedule="forward"):
    """A device for whole nets."""
    return card(precision) if where == CARD else Emulated(schedule, precision)


def kernels(where, precision="fp32", capability=90, processors=4, schedule="forward"):
    """A device for single launches, which notes them.  A card keeps its capability and orders its
    threads itself; how many processors it has may be claimed, for that decides how work is cut."""
    if where == CARD:
        return Launches(card(precision), processors)
    return EmulatedDevice(precision, capability, processors, schedule)


class Launches:
    """A card as `EmulatedDevice` is a device."""

    def __init__(self, card, processors):
        self.card, self.launched = card, []
        card.processors = processors

    def __getattr__(self, name):
        return getattr(self.card, name)

    def function(self, file, expression):
        self.launched.append(expression)
        return self.card.function(file, expression)

    def put(self, values):
        """An array of these values, float32."""
        return self.card.upload(np.array(values, np.float32))

    def empty(self, count):
        """An array of NaN."""
        made = self.card.zeros(count, np.float32)
        made.fill(np.nan)
        return made

    def get(self, array):
        """Its values on the host."""
        return self.card.host(array)
