"""Arrays of a file that become a net's parameters without being copied."""

from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.errors import WeightsError
from demitasse.net import Net
from devices import WHERE, device

SHARED = 'param { name: "w" }'


def layer(name, bottom, more=""):
    return f"""layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {more}
      inner_product_param {{ num_output: 3 }} }}
    """


def net(more="", **settings):
    text = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
    text += layer("one", "x", more) + layer("two", "one", more)
    return Net(netspec.build(netspec.parse_net(text), "TEST"), fill=False, **settings)


def numbers(*shape, dtype=np.float32):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


def found(**changes):
    """The content of a file, with other blobs for some."""
    blobs = {name: [numbers(3, 3), numbers(3)] for name in ("one", "two")} | changes
    return weights.Weights(blobs, "hdf5", "w.h5")


def lies_in(built, given):
    """Of each blob whether the net computes with the file's own array."""
    return {
        (name, i): np.shares_memory(blob.data, array)
        for name, arrays in given.layers.items()
        for i, (blob, array) in enumerate(zip(built.params[name], arrays, strict=True))
        if array is not None
    }


def scores(built):
    built.blobs["x"].data[...] = np.arange(6).reshape(2, 3)
    built.forward()
    return built.blobs["two"].data.copy()


def test_the_parameters_of_a_net_that_only_runs_forward_are_the_files_arrays():
    built, copied, given = net(), net(), found()
    assert built.load(given, complete=True, adopt=True) == copied.load(given, complete=True)
    assert all(lies_in(built, given).values()) and not any(lies_in(copied, given).values())
    assert built.flat_data.size == 0 and built.flat_data.dtype == np.float32
    np.testing.assert_array_equal(scores(built), scores(copied))
    built.reshape({"x": (4, 3)})
    assert all(lies_in(built, given).values())


def test_it_may_take_others_afterwards():
    built, first = net(), found()
    built.load(first, complete=True, adopt=True)
    before = scores(built)
    for adopt in (True, False):
        built.load(found(two=[-numbers(3, 3), -numbers(3)]), complete=True, adopt=adopt)
        np.testing.assert_array_equal(scores(built), -before)
        np.testing.assert_array_equal(built.params["one"][0].data, first.layers["one"][0])


@pytest.mark.parametrize("second", [None, 2 * numbers(3, 3)])
def test_what_layers_share_stays_in_one_place(second):
    built, copied, given = net(SHARED), net(SHARED), found(two=[second, numbers(3)])
    for made, adopt in ((built, True), (copied, False)):
        made.load(given, complete=True, adopt=adopt)
        assert np.shares_memory(made.params["one"][0].data, made.params["two"][0].data)
    np.testing.assert_array_equal(scores(built), scores(copied))
    assert built.flat_data.size == 0


def test_shapes_of_four_axes_lose_their_ones():
    built = net()
    old = {name: [numbers(1, 1, 3, 3), numbers(1, 1, 1, 3)] for name in ("one", "two")}
    given = weights.Weights(old, "caffemodel", "w", legacy=True)
    built.load(given, complete=True, adopt=True)
    assert all(lies_in(built, given).values())
    assert [blob.shape for blob in built.params["one"]] == [(3, 3), (3,)]


def readonly():
    array = numbers(3, 3)
    array.setflags(write=False)
    return array


@pytest.mark.parametrize(
    "array",
    [
        numbers(3, 3, dtype=np.float64),
        numbers(3, 3).T,
        np.frombuffer(bytearray(1) + numbers(3, 3).tobytes(), np.float32, 9, 1).reshape(3, 3),
        readonly(),
    ],
    ids=["of another type", "transposed", "at an odd address", "not to be written"],
)
def test_arrays_that_a_net_would_not_allocate_are_copied_all(array):
    built, given = net(), found(one=[array, numbers(3)])
    built.load(given, complete=True, adopt=True)
    assert not any(lies_in(built, given).values())
    np.testing.assert_array_equal(built.params["one"][0].data, array.astype(np.float32))
    assert built.flat_data.size == 24


@pytest.mark.parametrize("settings", [{"backward": True}, {"dtype": np.float64}])
def test_a_net_that_learns_or_computes_in_another_type_copies(settings):
    built, given = net(**settings), found()
    built.load(given, complete=True, adopt=True)
    assert not any(lies_in(built, given).values())
    np.testing.assert_array_equal(built.params["one"][0].data, given.layers["one"][0])


@pytest.mark.parametrize("where", WHERE)
def test_a_net_on_another_device_copies(where):
    built, given = net(device=device(where)), found()
    built.load(given, complete=True, adopt=True)
    assert built.flat_data.size == 24
    for mine, array in zip(built.parameters()["one"], given.layers["one"], strict=True):
        np.testing.assert_array_equal(mine, array)


def test_a_net_of_which_the_file_lacks_a_layer_copies():
    built, given = net(), found()
    del given.layers["two"]
    assert built.load(given, complete=False, adopt=True).missing == ("two",)
    assert not any(lies_in(built, given).values()) and built.flat_data.size == 24


@pytest.mark.parametrize("given", ["w.h5", Path("w.h5")])
def test_a_path_is_no_content_of_a_file(given):
    with pytest.raises(WeightsError, match=r"^w.h5: .*\bweights\.read\("):
        net().load(given, complete=True)
