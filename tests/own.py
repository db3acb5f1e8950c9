"""A layer type that is none of the project's, as callers bring them."""

import numpy as np
from demitasse.layers.neuron import Neuron


class Mine(Neuron):
    """y = 3 x."""

    type = "Mine"

    def function(self, x, y):
        np.multiply(x, 3, out=y)

    def gradient(self, known, dy, dx):
        np.multiply(dy, 3, out=dx)
