"""caffe.Net: build, feed, run, read, reshape, save."""

from collections import OrderedDict

import numpy as np
import pytest
from demitasse import pycaffe as caffe
from demitasse.errors import DataError, GraphError, ShapeError, WeightsError
from demitasse.kernels.device import CPU
from demitasse.pycaffe import settings as switches
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("where")


def noise(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def test_it_shows_what_it_is_made_of(image_net):
    net = caffe.Net(image_net, caffe.TEST)
    assert net.inputs == ["data"] and net.outputs == ["prob"]
    assert list(net.blobs) == net._blob_names == ["data", "conv", "pool", "ip", "prob"]
    assert net._layer_names == ["data", "conv", "relu", "pool", "ip", "prob"]
    assert [layer.type for layer in net.layers][:3] == ["Input", "Convolution", "ReLU"]
    assert isinstance(net.blobs, OrderedDict) and isinstance(net.params, OrderedDict)
    assert {name: [b.shape for b in blobs] for name, blobs in net.params.items()} == {
        "conv": [(4, 3, 3, 3), (4,)],
        "ip": [(3, 4), (3,)],
    }
    assert net.layer_dict["ip"].blobs is net.params["ip"]
    assert net.top_names["relu"] == net.bottom_names["relu"] == ["conv"]
    assert net._bottom_ids(2) == net._top_ids(2) == [1]
    assert net._inputs == [0] and net._outputs == [4]


def test_blobs_have_their_old_names_for_sizes(image_net):
    net = caffe.Net(image_net, caffe.TEST)
    data, ip = net.blobs["data"], net.blobs["ip"]
    assert (data.num, data.channels, data.height, data.width, data.count) == (2, 3, 6, 5, 180)
    assert ip.shape == (2, 3) and (ip.height, ip.width) == (1, 1)
    data.reshape(1, 3, 1, 6, 5)
    with pytest.raises(ShapeError, match="up to four axes"):
        _ = data.num


def test_a_file_that_is_not_there_is_a_runtime_error(image_net, tmp_path):
    with pytest.raises(RuntimeError, match="Could not open file"):
        caffe.Net(str(tmp_path / "none.prototxt"), caffe.TEST)
    with pytest.raises(RuntimeError, match="Could not open file"):
        caffe.Net(image_net, caffe.TEST, weights=str(tmp_path / "none.caffemodel"))


def test_weights_need_a_phase_behind_them(image_net, tmp_path):
    caffe.Net(image_net, caffe.TEST).save(str(tmp_path / "x.caffemodel"))
    with pytest.raises(TypeError, match=r"x\.caffemodel'\) needs a phase .* caffe.TEST"):
        caffe.Net(image_net, str(tmp_path / "x.caffemodel"))


@pytest.mark.parametrize("kind", ["caffemodel", "h5"])
def test_parameters_go_to_a_file_and_back(image_net, tmp_path, kind):
    net, path = caffe.Net(image_net, caffe.TRAIN), str(tmp_path / f"x.{kind}")
    net.save(path) if kind == "caffemodel" else net.save_hdf5(path)
    named = caffe.Net(image_net, caffe.TEST, weights=path)
    old_form = caffe.Net(image_net, path, caffe.TEST)
    later = caffe.Net(image_net, caffe.TEST)
    (later.copy_from if kind == "caffemodel" else later.load_hdf5)(path)
    for other in (named, old_form, later):
        for name, blobs in net.params.items():
            for a, b in zip(blobs, other.params[name], strict=True):
                np.testing.assert_array_equal(a.data, b.data)


def test_a_file_of_another_net_is_refused(image_net, learning_net, tmp_path):
    caffe.Net(learning_net, caffe.TRAIN).save(str(tmp_path / "a.caffemodel"))
    with pytest.raises(WeightsError, match="net wants 3x4"):
        caffe.Net(image_net, caffe.TEST).copy_from(str(tmp_path / "a.caffemodel"))


def test_forward_returns_live_arrays(image_net, rng):
    net = caffe.Net(image_net, caffe.TEST)
    out = net.forward(blobs=["ip"], data=noise(rng, 2, 3, 6, 5))
    assert set(out) == {"prob", "ip"}
    before = out["prob"].copy()
    net.forward(data=noise(rng, 2, 3, 6, 5))
    assert (out["prob"] != before).any()
    np.testing.assert_array_equal(out["prob"], net.blobs["prob"].data)


def test_parts_run_by_name(image_net, rng):
    net = caffe.Net(image_net, caffe.TEST)
    net.blobs["pool"].data[...] = noise(rng, 2, 4, 1, 1)
    out = net.forward(start="ip", end="ip")
    weight, bias = (b.data for b in net.params["ip"])
    expected = net.blobs["pool"].data.reshape(2, 4) @ weight.T + bias
    np.testing.assert_allclose(out["ip"], expected, rtol=1e-5)


def test_backward_works_in_either_phase(learning_net, rng):
    net = caffe.Net(learning_net, caffe.TEST)
    net.blobs["ip"].diff[...] = noise(rng, 5, 4)
    out = net.backward(start="ip", end="ip")
    expected = net.blobs["ip"].diff @ net.params["ip"][0].data
    np.testing.assert_allclose(out["data"], expected.reshape(5, 2, 3), rtol=1e-5, atol=1e-6)


def test_gradients_of_outputs_are_taken_by_name(tmp_path, rng):
    path = tmp_path / "n.prototxt"
    path.write_text(
        'force_backward: true layer { name: "x" type: "Input" top: "x" '
        "input_param { shape { dim: 2 dim: 3 } } }"
        'layer { name: "y" type: "Power" bottom: "x" top: "y" power_param { scale: 4 } }'
    )
    net, above = caffe.Net(str(path), caffe.TEST), noise(rng, 2, 3)
    np.testing.assert_allclose(net.backward(y=above)["x"], 4 * above)
    assert set(net.backward(diffs=["y"])) == {"x", "y"}
    with pytest.raises(Exception, match="Top diff arguments do not match"):
        net.backward(z=above)
    with pytest.raises(Exception, match="Diff is not batch sized"):
        net.backward(y=above[:1])


def test_inputs_have_to_be_all_and_batch_sized(image_net, rng):
    net = caffe.Net(image_net, caffe.TEST)
    with pytest.raises(Exception, match="do not match net inputs"):
        net.forward(image=noise(rng, 2, 3, 6, 5))
    with pytest.raises(Exception, match="not batch sized"):
        net.forward(data=noise(rng, 3, 3, 6, 5))


def test_the_gradient_of_what_none_reaches_is_zero_and_stays_as_written(image_net):
    net = caffe.Net(image_net, caffe.TEST)
    diff = net.blobs["data"].diff
    assert diff.shape == (2, 3, 6, 5) and not diff.any()
    diff[...] = 2
    net.forward()
    net.backward()
    assert (net.blobs["data"].diff == 2).all()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_forward_all_fills_the_last_batch_up(image_net, rng, n):
    net, images = caffe.Net(image_net, caffe.TEST), noise(rng, n, 3, 6, 5)
    out = net.forward_all(blobs=["ip"], data=images)
    assert out["prob"].shape == (n, 3) and out["ip"].shape == (n, 3)
    net.blobs["data"].reshape(n, 3, 6, 5)
    np.testing.assert_allclose(out["prob"], net.forward(data=images)["prob"], rtol=1e-5)


def test_forward_backward_all(tmp_path, rng):
    path = tmp_path / "n.prototxt"
    path.write_text(
        'force_backward: true layer { name: "x" type: "Input" top: "x" '
        "input_param { shape { dim: 2 dim: 3 } } }"
        'layer { name: "y" type: "Power" bottom: "x" top: "y" power_param { power: 2 } }'
    )
    net, x, above = caffe.Net(str(path), caffe.TEST), noise(rng, 5, 3), noise(rng, 5, 3)
    data, diffs = net.forward_backward_all(x=x, y=above)
    np.testing.assert_allclose(data["y"], x**2, rtol=1e-6)
    np.testing.assert_allclose(diffs["x"], 2 * x * above, rtol=1e-5)


# ---------------------------------------------------------------------- other shapes


@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(st.integers(1, 4), st.integers(3, 9), st.integers(3, 9)))
def test_a_net_follows_its_input(tmp_path_factory, shape):
    from .conftest import IMAGE_NET

    n, height, width = shape
    path = tmp_path_factory.mktemp("nets") / "n.prototxt"
    path.write_text(IMAGE_NET)
    net = caffe.Net(str(path), caffe.TEST)
    path.write_text(
        IMAGE_NET.replace(
            "dim: 2 dim: 3 dim: 6 dim: 5", f"dim: {n} dim: 3 dim: {height} dim: {width}"
        )
    )
    fresh = caffe.Net(str(path), caffe.TEST)
    fresh.share_with(net)
    image = noise(np.random.default_rng(1), n, 3, height, width)
    for each in (net, fresh):
        each.blobs["data"].reshape(n, 3, height, width)
        each.blobs["data"].data[...] = image
    np.testing.assert_array_equal(net.forward()["prob"], fresh.forward()["prob"])
    assert net.blobs["conv"].shape == (n, 4, height - 2, width - 2)


def test_a_reshaped_blob_has_its_shape_at_once_and_the_net_when_it_runs(image_net):
    net = caffe.Net(image_net, caffe.TEST)
    data = net.blobs["data"]
    data.data[...] = np.arange(180).reshape(2, 3, 6, 5)
    data.reshape(1, 3, 6, 5)
    np.testing.assert_array_equal(data.data.ravel(), np.arange(90))
    assert data.diff.shape == (1, 3, 6, 5) and net.blobs["conv"].shape == (2, 4, 4, 3)
    net.reshape()
    np.testing.assert_array_equal(data.data.ravel(), np.arange(90))
    assert net.blobs["conv"].shape == (1, 4, 4, 3)
    data.reshape(2, 3, 6, 5)
    assert not data.data.ravel()[90:].any()


def test_only_inputs_keep_another_shape(image_net):
    net = caffe.Net(image_net, caffe.TEST)
    net.blobs["prob"].reshape(6)
    assert net.blobs["prob"].shape == (6,)
    assert net.forward()["prob"].shape == (2, 3)


def test_parameters_do_not_reshape(image_net):
    net = caffe.Net(image_net, caffe.TEST)
    net.params["ip"][0].reshape(3, 4)
    with pytest.raises(ShapeError, match="parameter 0 of layer 'ip'"):
        net.params["ip"][0].reshape(3, 5)


# ---------------------------------------------------------------------- the rest


def test_parameters_are_shared_live(image_net, rng):
    a, b = caffe.Net(image_net, caffe.TEST), caffe.Net(image_net, caffe.TEST)
    assert (a.params["ip"][0].data != b.params["ip"][0].data).any()
    b.share_with(a)
    a.params["ip"][0].data[...] = noise(rng, 3, 4)
    np.testing.assert_array_equal(b.params["ip"][0].data, a.params["ip"][0].data)


def test_a_seed_repeats_the_nets_that_follow(image_net):
    def two():
        caffe.set_random_seed(5)
        return [caffe.Net(image_net, caffe.TEST).params["ip"][0].data for _ in range(2)]

    (a, b), (c, d) = two(), two()
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)
    assert (a != b).any()


def test_loss_weights_by_blob(learning_net):
    net = caffe.Net(learning_net, caffe.TRAIN)
    assert net.blob_loss_weights == {"data": 0, "label": 0, "ip": 0, "loss": 1}
    assert net._blob_loss_weights == [0, 0, 0, 1]
    assert net._forward(0, 2) == pytest.approx(float(net.blobs["loss"].data))


def test_gradients_add_up_until_they_are_cleared(learning_net):
    net = caffe.Net(learning_net, caffe.TRAIN)
    net.forward()
    net.backward()
    once = net.params["ip"][0].diff.copy()
    net.backward()
    np.testing.assert_allclose(net.params["ip"][0].diff, 2 * once, rtol=1e-5)
    net.clear_param_diffs()
    assert once.any() and not net.params["ip"][0].diff.any()


def test_callbacks_get_the_layers_index(image_net):
    net, said = caffe.Net(image_net, caffe.TEST), []
    net.before_forward(lambda i: said.append(("before", i)))
    net.after_forward(lambda i: said.append(("after", i)))
    net.before_backward(lambda i: said.append(("before", -i)))
    net.after_backward(lambda i: said.append(("after", -i)))
    net.forward(start="conv", end="relu")
    net.backward(start="relu", end="conv")
    order = (1, 2, -2, -1)
    assert said == [(when, i) for i in order for when in ("before", "after")]


MEMORY = """
layer { name: "m" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 2 channels: 1 height: 2 width: 3 } }
layer { name: "s" type: "Silence" bottom: "label" }
"""


def test_memory_data_takes_arrays(tmp_path, image_net, rng):
    path = tmp_path / "m.prototxt"
    path.write_text(MEMORY)
    net, data = caffe.Net(str(path), caffe.TRAIN), noise(rng, 4, 1, 2, 3)
    net.set_input_arrays(data, np.arange(4, dtype=np.float32))
    for half in (data[:2], data[2:], data[:2]):
        np.testing.assert_array_equal(net.forward()["data"], half)
    for wrong, what in (
        (data.astype(float), "float32 and C contiguous"),
        (data[:, :, :, :2].copy(), "must have the shape"),
        (data[:3], "same first dimension"),
    ):
        with pytest.raises(RuntimeError, match=what):
            net.set_input_arrays(wrong, np.zeros(4, np.float32))
    with pytest.raises(RuntimeError, match="multiple of batch size"):
        net.set_input_arrays(data[:3], np.zeros(3, np.float32))
    with pytest.raises(RuntimeError, match="first layer is a MemoryDataLayer"):
        caffe.Net(image_net, caffe.TEST).set_input_arrays(data, np.zeros(4, np.float32))
    with pytest.raises(DataError, match="no data yet"):
        caffe.Net(str(path), caffe.TRAIN).forward()


PYTHON = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "p" type: "Python" bottom: "x" top: "y"
  python_param { module: "times_its_parameter" layer: "Times" param_str: "5" } }
"""
CODE = """
from demitasse import pycaffe as caffe

class Times(caffe.Layer):
    def setup(self, bottom, top):
        self.calls = []
        self.blobs.add_blob(1)
        self.blobs[0].data[0] = float(self.param_str)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        self.calls.append(self.phase)
        top[0].data[...] = self.blobs[0].data[0] * bottom[0].data
"""


@pytest.fixture
def python_net(tmp_path, monkeypatch, where):
    """A Python layer with a parameter: it works on the host's arrays, so a device refuses it."""
    (tmp_path / "times_its_parameter.py").write_text(CODE)
    path = tmp_path / "p.prototxt"
    path.write_text(PYTHON)
    monkeypatch.syspath_prepend(tmp_path)
    if where != "cpu":
        with pytest.raises(GraphError, match="works on the host's arrays only"):
            caffe.Net(str(path), caffe.TEST)
        monkeypatch.setattr(switches, "device", lambda: CPU)
    return str(path)


def test_python_layers_run_and_are_what_layers_shows(python_net):
    net = caffe.Net(python_net, caffe.TEST)
    assert isinstance(net.layers[1], caffe.Layer) and net.layers[1].type == "Python"
    net.blobs["x"].data[...] = 2
    assert (net.forward()["y"] == 10).all()
    assert net.layers[1].calls == [caffe.TEST]
    net.params["p"][0].data[0] = 7
    net.blobs["x"].reshape(4)
    net.blobs["x"].data[...] = 1
    np.testing.assert_array_equal(net.forward()["y"], [7, 7, 7, 7])


def test_a_python_layers_parameters_may_be_set_before_the_first_pass(python_net):
    net = caffe.Net(python_net, caffe.TEST)
    net.params["p"][0].data[0] = 3
    net.blobs["x"].data[...] = 1
    assert (net.forward()["y"] == 3).all()


TWO_SIZES = """force_backward: true
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }"""


def test_layers_that_do_not_run_need_not_fit(tmp_path):
    """As where dreams are made of a net for images of one size, layer by layer."""
    (tmp_path / "net.prototxt").write_text(TWO_SIZES)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    image = np.random.default_rng(0).standard_normal((1, 1, 20, 24)).astype("f4")
    small = net.forward(data=image[..., :8, :8])["fc"].copy()
    inside = net.blobs["conv"].data.copy()
    net.blobs["data"].reshape(1, 1, 20, 24)
    net.blobs["data"].data[...] = image
    top = net.forward(end="relu")["conv"]
    assert top.shape == (1, 2, 18, 22) and net.blobs["fc"].data.shape == (1, 5)
    np.testing.assert_allclose(top[..., :6, :6], inside, atol=1e-5)
    net.blobs["conv"].diff[...] = top
    assert net.backward(start="relu")["data"].shape == image.shape
    with pytest.raises(ShapeError, match="'fc' would need parameters of another shape"):
        net.forward()
    assert net.forward(end="conv")["conv"].shape == (1, 2, 18, 22)
    net.blobs["data"].reshape(1, 1, 8, 8)
    np.testing.assert_array_equal(net.forward(data=image[..., :8, :8])["fc"], small)


IN_PARTS = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 1 dim: 20 dim: 20 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 } }
layer { name: "q" type: "Power" bottom: "p" top: "q" power_param { scale: 2 } }"""
FITS_ONE_SIZE = (
    IN_PARTS + 'layer { name: "fc" type: "InnerProduct" bottom: "q" top: "fc" '
    "inner_product_param { num_output: 2 } }"
)


@pytest.mark.parametrize("text", [IN_PARTS, FITS_ONE_SIZE], ids=["fits", "fits one size"])
@pytest.mark.parametrize("size", [12, 28])
@pytest.mark.parametrize("end", ["c", "r", "p"])
def test_a_reshaped_net_runs_in_parts(text, size, end, tmp_path):
    (tmp_path / "net.prototxt").write_text(text)
    whole, parts = (caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST) for _ in range(2))
    parts.share_with(whole)
    for net in (whole, parts):
        net.blobs["data"].reshape(1, 1, size, size)
        net.blobs["data"].data[...] = np.arange(size * size).reshape(size, size)
    expected = whole.forward(end="q")["q"].copy()
    top = parts.forward(end=end)
    assert next(iter(top.values())).shape[2] in (size - 2, size - 3)
    after = parts._layer_names[parts._layer_names.index(end) + 1]
    np.testing.assert_array_equal(parts.forward(start=after, end="q")["q"], expected)
