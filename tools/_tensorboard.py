"""A training for TensorBoard: `solve.py --tensorboard DIR`, then `tensorboard --logdir DIR`.

    train/loss, train/smoothed, train/lr, train/gradient_norm, train/OUTPUT     displayed iterations
    test/OUTPUT, test1/OUTPUT                                                   every test net

The library tensorboardX (extra `tensorboard`) writes the files; it is wanted here only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import OutputError
from ..solvers.observer import Display, Observer, Tested


class Events(Observer):
    """folder: where the event file goes; every training makes one of its own.  As a context it
    writes what is waiting.  OutputError without the library, or where the folder cannot be written.
    """

    def __init__(self, folder: str) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise OutputError(
                "--tensorboard needs the Python package tensorboardX",
                remedy="Install it: pip install 'demitasse[tensorboard]', or pip install "
                "tensorboardX",
            ) from None
        try:
            self._writer = SummaryWriter(folder)
        except OSError as error:
            raise OutputError(
                f"cannot be written ({error.strerror})", where=folder, remedy="Name another folder"
            ) from error

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def displayed(self, display: Display) -> None:
        shown = {"loss": display.loss, "smoothed": display.smoothed, "lr": display.rate}
        for name, value in {**shown, "gradient_norm": display.gradient_norm}.items():
            self._writer.add_scalar(f"train/{name}", float(value), display.iter)
        self._add("train", display.outputs, display.iter)

    def tested(self, tested: Tested) -> None:
        self._add(f"test{tested.net or ''}", tested.outputs, tested.iter)

    def _add(self, where: str, outputs: Mapping[str, np.ndarray], iteration: int) -> None:
        for name, values in outputs.items():
            for i, value in enumerate(np.ravel(values)[:100]):
                part = f"/{i}" if np.size(values) > 1 else ""
                self._writer.add_scalar(f"{where}/{name}{part}", float(value), iteration)
        self._writer.flush()
