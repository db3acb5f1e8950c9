"""The 3-D nets learn: twenty steps on a drawn volume, thin and on the smallest tiles."""

import h5py
import numpy as np
import pytest
from demitasse import netspec, solvers
from demitasse.data import volumes
from demitasse.solvers.observer import Observer

from .nets import deployed, trainable

STEPS = 20
SOLVER = 'lr_policy: "fixed" base_lr: 0.03 momentum: 0.9 max_iter: 20'


class Losses(Observer):
    def __init__(self):
        self.seen = []

    def stepped(self, iteration, loss, rate, gradient_norm):
        self.seen.append(loss)


@pytest.mark.parametrize(
    ("name", "size", "thinner", "seed"),
    [
        ("unet3d.prototxt", (92, 92, 92), 32, 1),
        ("unet3d_bn.prototxt", (92, 92, 92), 32, 1),
        ("unet3d_anisotropic.prototxt", (20, 100, 100), 8, 3),
    ],
)
def test_twenty_steps_on_a_drawn_volume(tmp_path, name, size, thinner, seed):
    out = deployed(name, *size).sizes["score"][2:]
    middle = tuple(slice((a - b) // 2, (a - b) // 2 + b) for a, b in zip(size, out, strict=True))
    pixels, classes = volumes.volume(0, size)
    classes = classes[middle]
    assert 0 < classes.mean() < 1
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["image"], file["label"] = pixels[None, None], classes[None, None]
        file["weight"] = volumes.balance(classes)[None, None]
    (tmp_path / "train.txt").write_text(f"{tmp_path / 'train.h5'}\n")

    source = netspec.parse_solver(f"{SOLVER} random_seed: {seed}")
    source.message.net_param.CopyFrom(
        trainable(name, size, str(tmp_path / "train.txt"), thinner).message
    )
    losses = Losses()
    solver = solvers.build(source, observer=losses)
    solver.step(STEPS)
    assert len(losses.seen) == STEPS and np.isfinite(losses.seen).all()
    assert np.mean(losses.seen[-5:]) < 0.95 * np.mean(losses.seen[:5])
    assert solver.net.params["conv_d0a-b"][0].diff.any()  # the gradient reaches the first layer
