"""`demitasse plan NET`: sizes and memory, of whatever file holds a net."""

import pytest
from demitasse.tools import cli

pytestmark = pytest.mark.usefixtures("trained")


def planned(capsys, *argv):
    capsys.readouterr()
    assert cli.main(["plan", *argv]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_model_holds_its_net(capsys):
    found = planned(capsys, "tiny.h5", "--input", "24")
    assert found[:3] == [
        "tiny: 274 parameters, 0 MiB",
        "  data: 1 x 1 x 24 x 24",
        "  score: 1 x 2 x 18 x 18",
    ]
    assert found == planned(capsys, "net.prototxt", "--input", "24")[: len(found)]


@pytest.mark.parametrize("name", ["tiny_iter_4.caffemodel.h5", "train.h5"])
def test_hdf5_without_a_net(name, capsys):
    assert cli.main(["plan", name]) == 2
    assert capsys.readouterr().err == (
        f"error: {name}: holds no net; expected a prototxt, or a model such as unet.h5, found "
        "another HDF5 file (parameters alone, solver state or data).\n"
    )
