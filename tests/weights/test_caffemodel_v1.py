"""Binary files of V1: four axes, as Caffe wrote them; protobuf reads them, too."""

from pathlib import Path

import numpy as np
import pytest
from demitasse.errors import WeightsError
from demitasse.netspec import schema
from demitasse.weights import modern, read, write_caffemodel_v1

TRUNK = Path(__file__).resolve().parent.parent / "golden" / "nets" / "unet_v1_trunk"


def test_what_caffe_saved_then_is_written_again(tmp_path):
    today = read(TRUNK / "weights.caffemodel")
    layers = [(name, today.types[name], blobs) for name, blobs in today.layers.items()]
    write_caffemodel_v1(tmp_path / "a.caffemodel", "a net", layers)
    ours, theirs = (read(p) for p in (tmp_path / "a.caffemodel", TRUNK / "weights_v1.caffemodel"))
    assert ours.dialect == "V1" and ours.legacy
    full = [name for name, blobs in theirs.layers.items() if blobs]
    assert list(ours.layers) == full and len(full) == 11
    for name in full:
        assert ours.types[name] == theirs.types[name] == today.types[name]
        for one, two in zip(ours.layers[name], theirs.layers[name], strict=True):
            assert one.shape == two.shape and one.tobytes() == two.tobytes()
    assert modern(ours)[0].layers.keys() == set(full) and not modern(ours)[0].legacy


def test_protobuf_reads_it(tmp_path):
    w, b = np.arange(6, dtype="f4").reshape(2, 3), np.array([0.5, -1])
    write_caffemodel_v1(tmp_path / "a", "net", [("ip", "InnerProduct", [w, b]), ("r", "ReLU", [])])
    message = schema.NetParameter.FromString((tmp_path / "a").read_bytes())
    assert message.name == "net" and not message.layer
    (layer,) = message.layers
    assert (layer.name, layer.type) == ("ip", layer.INNER_PRODUCT)
    weights, bias = layer.blobs
    assert (weights.num, weights.channels, weights.height, weights.width) == (1, 1, 2, 3)
    assert (bias.num, bias.channels, bias.height, bias.width) == (1, 1, 1, 2)
    assert list(weights.data) == w.ravel().tolist() and list(bias.data) == b.tolist()


@pytest.mark.parametrize(
    ("kind", "array", "said"),
    [
        ("BatchNorm", np.zeros(3, "f4"), r"'c' \(BatchNorm\) had no parameters in V1"),
        ("", np.zeros(3, "f4"), r"that of 'c' is not known.* --net NET.prototxt"),
        ("Convolution", np.zeros((1, 1, 3, 3, 3), "f4"), "at most 4, found 1x1x3x3x3"),
        ("Convolution", np.full((1, 1), 1 / 3), "doubles, which V1 would round"),
    ],
)
def test_what_v1_cannot_say_is_refused(tmp_path, kind, array, said):
    with pytest.raises(WeightsError, match=said):
        write_caffemodel_v1(tmp_path / "a", "net", [("c", kind, [array])])
    assert list(tmp_path.iterdir()) == []
