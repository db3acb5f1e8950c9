"""The sliding-window classifier: its maps as the paper lists them, its parameters, its strides."""

import pytest
from demitasse import netspec
from demitasse.errors import ShapeError

from .nets import MODELS, deployed

NET = "ciresan2012.prototxt"


def test_the_maps_of_a_window():
    net = deployed(NET, 95, 95)
    sides = {blob: shape[2:] for blob, shape in net.sizes.items()}
    stages = [sides[f"{kind}{i}"][0] for i in range(1, 5) for kind in ("conv", "pool")]
    assert stages == [92, 46, 42, 21, 18, 9, 6, 3]
    assert net.sizes["full5"] == (1, 200, 1, 1) and net.sizes["score"] == (1, 2, 1, 1)
    assert net.count == 219_290


def test_an_image_gets_an_answer_every_16_pixels():
    assert deployed(NET, 95 + 16, 95 + 32).sizes["score"] == (1, 2, 2, 3)
    with pytest.raises(ShapeError):
        deployed(NET, 94, 20)


def test_its_solver_names_it():
    solver = netspec.read_solver(str(MODELS / "ciresan2012_solver.prototxt")).message
    assert solver.net == f"models/{NET}"
