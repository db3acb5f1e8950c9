"""The net of the 2015 release: its table, its sizes, and its scores in another program.

The table is the release's, as those who kept it recorded it; the other program is OpenCV's importer
of Caffe nets.
"""

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import ShapeError
from demitasse.net import Net
from demitasse.net.saving import save_caffemodel_v1
from demitasse.net.sizes import geometry

from .nets import MODELS, deployed

NET = "phseg_v5.prototxt"
# layer, type, bottoms, top, channels and size of the top for a tile of 572 pixels, parameters
TABLE = """
conv_d0a-b         Convolution    data       d0b    64  570      640
conv_d0b-c         Convolution    d0b        d0c    64  568    36928
pool_d0c-1a        Pooling        d0c        d1a    64  284        0
conv_d1a-b         Convolution    d1a        d1b   128  282    73856
conv_d1b-c         Convolution    d1b        d1c   128  280   147584
pool_d1c-2a        Pooling        d1c        d2a   128  140        0
conv_d2a-b         Convolution    d2a        d2b   256  138   295168
conv_d2b-c         Convolution    d2b        d2c   256  136   590080
pool_d2c-3a        Pooling        d2c        d3a   256   68        0
conv_d3a-b         Convolution    d3a        d3b   512   66  1180160
conv_d3b-c         Convolution    d3b        d3c   512   64  2359808
pool_d3c-4a        Pooling        d3c        d4a   512   32        0
conv_d4a-b         Convolution    d4a        d4b  1024   30  4719616
conv_d4b-c         Convolution    d4b        d4c  1024   28  9438208
upconv_d4c_u3a     Deconvolution  d4c        u3a   512   56  2097664
crop_d3c-d3cc      Crop           d3c,u3a    d3cc  512   56        0
concat_d3cc_u3a-b  Concat         u3a,d3cc   u3b  1024   56        0
conv_u3b-c         Convolution    u3b        u3c   512   54  4719104
conv_u3c-d         Convolution    u3c        u3d   512   52  2359808
upconv_u3d_u2a     Deconvolution  u3d        u2a   256  104   524544
crop_d2c-d2cc      Crop           d2c,u2a    d2cc  256  104        0
concat_d2cc_u2a-b  Concat         u2a,d2cc   u2b   512  104        0
conv_u2b-c         Convolution    u2b        u2c   256  102  1179904
conv_u2c-d         Convolution    u2c        u2d   256  100   590080
upconv_u2d_u1a     Deconvolution  u2d        u1a   128  200   131200
crop_d1c-d1cc      Crop           d1c,u1a    d1cc  128  200        0
concat_d1cc_u1a-b  Concat         u1a,d1cc   u1b   256  200        0
conv_u1b-c         Convolution    u1b        u1c   128  198   295040
conv_u1c-d         Convolution    u1c        u1d   128  196   147584
upconv_u1d_u0a     Deconvolution  u1d        u0a   128  392    65664
crop_d0c-d0cc      Crop           d0c,u0a    d0cc   64  392        0
concat_d0cc_u0a-b  Concat         u0a,d0cc   u0b   192  392        0
conv_u0b-c         Convolution    u0b        u0c    64  390   110656
conv_u0c-d         Convolution    u0c        u0d    64  388    36928
conv_u0d-score     Convolution    u0d        score   2  388      130
"""


def test_the_table_of_the_release():
    net = deployed(NET, 572, 572)
    nodes = [node for node in net.graph.nodes if node.type not in ("Input", "ReLU", "Split")]
    rows = [row.split() for row in TABLE.strip().splitlines()]
    assert len(nodes) == len(rows)
    for node, (name, kind, bottoms, top, channels, size, count) in zip(nodes, rows, strict=True):
        assert (node.name, node.type, node.tops[0].blob) == (name, kind, top)
        read = [value.blob.partition("_")[0] for value in node.bottoms]  # d3c_..._split_0: of d3c
        assert read == bottoms.split(",")
        assert net.sizes[top] == (1, int(channels), int(size), int(size))
        assert net.counts.get(name, 0) == int(count)
    assert net.count == sum(int(row[-1]) for row in rows) == 31_100_354


def test_each_convolution_but_the_score_is_rectified_in_place():
    net = deployed(NET, 188, 188)
    made = [n.tops[0].blob for n in net.graph.nodes if n.type in ("Convolution", "Deconvolution")]
    rectified = [n.tops[0].blob for n in net.graph.nodes if n.type == "ReLU"]
    assert rectified == made[:-1] and len(made) == 23
    assert all(n.layer.bottom[0] == n.layer.top[0] for n in net.graph.nodes if n.type == "ReLU")


def test_rates_fillers_and_engines_are_those_of_the_release():
    source = netspec.read_net(str(MODELS / NET))
    assert source.message.force_backward
    for layer in source.message.layer:
        if layer.type in ("Convolution", "Deconvolution"):
            assert [p.lr_mult for p in layer.param] == [1, 2]
            assert [p.decay_mult for p in layer.param] == [1, 0]
            param = layer.convolution_param
            assert param.weight_filler.type == "xavier" and param.bias_term
            caffe = layer.type == "Convolution"
            assert (param.engine == param.CAFFE) == caffe
    crops = [la.crop_param for la in source.message.layer if la.type == "Crop"]
    assert [(c.axis, *c.offset) for c in crops] == [(2, 4), (2, 16), (2, 40), (2, 88)]


def test_data_loss_and_dropout_are_for_training_alone():
    source = netspec.read_net(str(MODELS / NET))
    names = [node.name for node in netspec.build(source, "TRAIN").nodes]
    assert [n for n in names if n.startswith("dropout")] == ["dropout_d3c", "dropout_d4c"]
    assert (names[0], names[-1]) == ("loaddata", "loss")
    assert not [n for n in deployed(NET, 188, 188).graph.nodes if n.type == "Dropout"]


@pytest.mark.parametrize("k", [8, 9, 32])
def test_legal_tiles_are_16k_plus_60(k):
    size = 16 * k + 60
    net = deployed(NET, size, size)
    assert net.sizes["score"] == (1, 2, 16 * k - 124, 16 * k - 124)
    found = geometry(net.graph, net.layers, "score")
    assert (found.smallest, found.step, found.before, found.after) == (188, 16, 92, 92)


def test_the_tile_of_the_tracking_sample():
    assert deployed(NET, 444, 892).sizes["score"] == (1, 2, 260, 708)  # PhC-U373, two tiles


@pytest.mark.parametrize("size", [172, 189, 570, 573])
def test_other_tiles_are_refused(size):
    with pytest.raises(ShapeError, match="Nearest legal sizes"):
        deployed(NET, size, size)


def test_opencv_computes_the_same_scores_from_the_same_old_file(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless<5 is the other reader")
    deploy = deployed(NET, 188, 188)
    net = Net(deploy.graph, seed=2015, caffe_unet_2015=True)
    for name, blobs in net.params.items():  # the release's biases were trained; 0 would hide errors
        blobs[1].data[...] = np.random.default_rng(len(name)).normal(0, 0.05, blobs[1].shape)
    image = np.random.default_rng(5).random((1, 1, 188, 188), np.float32)
    net.blobs["data"].data[...] = image
    net.forward()

    save_caffemodel_v1(net, tmp_path / "phseg_v5.caffemodel")
    # OpenCV has no CROP that finds its offsets, so it gets the net with the offsets written out
    (tmp_path / "deploy.prototxt").write_text(netspec.to_text(deploy.message))
    other = cv2.dnn.readNetFromCaffe(
        str(tmp_path / "deploy.prototxt"), str(tmp_path / "phseg_v5.caffemodel")
    )
    other.enableWinograd(False)
    other.setInput(image)
    theirs, ours = other.forward("score"), net.blobs["score"].data
    assert theirs.shape == ours.shape == (1, 2, 4, 4)
    assert np.abs(ours).max() > 0.01
    assert np.abs(theirs - ours).max() <= 1e-5 * np.abs(ours).max()
