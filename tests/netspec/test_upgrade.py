"""Old nets and solvers made new, as Caffe 1.0 recorded it, and what is refused on the way."""

from pathlib import Path

import pytest
from demitasse.errors import SpecError
from demitasse.netspec import parse_net, parse_solver, read_net, read_solver, schema

GOLDEN = Path(__file__).parents[1] / "golden" / "upgrade"
CASES = sorted(path.name.split(".")[0] for path in GOLDEN.glob("*.upgraded.prototxt"))


def test_all_recorded_cases_are_here():
    assert len(CASES) == 8


@pytest.mark.parametrize("case", CASES)
def test_upgraded_as_caffe_does(case):
    parse = parse_solver if "solver" in case else parse_net
    got = parse((GOLDEN / f"{case}.prototxt").read_text())
    expected = parse((GOLDEN / f"{case}.upgraded.prototxt").read_text())
    assert got.message == expected.message


@pytest.mark.parametrize("case", [case for case in CASES if "solver" not in case])
def test_upgrading_twice_is_upgrading_once(case):
    from demitasse.netspec.upgrade import upgrade_net

    net = read_net(GOLDEN / f"{case}.prototxt").message
    assert upgrade_net(net, lambda *_: "") == net


def refusal(text, parse=parse_net):
    with pytest.raises(SpecError) as caught:
        parse(text, "n")
    return str(caught.value)


# ---- V1 --------------------------------------------------------------------------------------


def test_every_v1_type_has_a_name_of_today():
    types = schema.V1LayerParameter.LayerType.keys()
    text = "".join(f"layers {{ name: '{t}' type: {t} }}" for t in types)
    layers = parse_net(text).message.layer
    assert [layer.name for layer in layers] == list(types)
    names = {layer.name: layer.type for layer in layers}
    assert len(set(names.values())) == len(types) == 41
    for old, new in [
        ("SOFTMAX_LOSS", "SoftmaxWithLoss"),
        ("TANH", "TanH"),
        ("LRN", "LRN"),
        ("HDF5_DATA", "HDF5Data"),
        ("IM2COL", "Im2col"),
        ("NONE", ""),
        ("CROP", "Crop"),
    ]:
        assert names[old] == new


def test_param_entries_are_filled_up_with_blank_ones():
    text = "layers { name: 'c' type: CONVOLUTION weight_decay: [1, 0] blobs_lr: 3 }"
    param = parse_net(text).message.layer[0].param
    assert [(p.lr_mult, p.decay_mult) for p in param] == [(3, 1), (1, 0)]
    assert [p.HasField("lr_mult") for p in param] == [True, False]


def test_net_level_fields_stay():
    text = "name: 'n' force_backward: true debug_info: true state { level: 2 } layers { name: 'a' }"
    net = parse_net(text).message
    assert (net.name, net.force_backward, net.debug_info, net.state.level) == ("n", True, True, 2)


def test_old_and_new_layers_do_not_mix():
    assert refusal("layer { }\nlayers { }").startswith("n:2:1: ")


def test_data_layers_keep_no_empty_transform_unless_one_moves():
    untouched = parse_net("layers { type: DATA name: 'd' }").message.layer[0]
    assert not untouched.HasField("transform_param")
    both = "layers { type: DATA } layers { type: WINDOW_DATA window_data_param { mirror: 1 } }"
    first, second = parse_net(both).message.layer
    assert first.HasField("transform_param")
    assert second.transform_param.mirror
    assert not second.window_data_param.HasField("mirror")


# ---- V0 --------------------------------------------------------------------------------------


def v0(settings, ends='bottom: "a" top: "b"'):
    return f"layers {{ layer {{ {settings} }} {ends} }}\n"


def test_v0_settings_reach_their_messages():
    text = v0("name: 'i' type: 'images' source: 's' batchsize: 2 shuffle_images: 1 new_width: 7")
    text += v0("name: 'w' type: 'window_data' det_crop_mode: 'square' det_context_pad: 3")
    text += v0("name: 'p' type: 'pool' pool: AVE kernelsize: 3 pad: 1")
    text += v0("name: 'h' type: 'hdf5_output' hdf5_output_param { file_name: 'f' }")
    text += v0("name: 'c' type: 'conv' blobs { num: 1 } blobs_lr: 1 weight_decay: 0")
    image, window, pool, output, conv = parse_net(text).message.layer
    assert image.image_data_param.shuffle
    assert (image.image_data_param.batch_size, image.image_data_param.new_width) == (2, 7)
    assert (window.window_data_param.crop_mode, window.window_data_param.context_pad) == (
        "square",
        3,
    )
    assert (pool.pooling_param.pool, list(pool.pooling_param.kernel_size)) == (1, [3])
    assert list(pool.pooling_param.pad) == [1]
    assert output.hdf5_output_param.file_name == "f"
    assert (conv.blobs[0].num, conv.param[0].decay_mult) == (1, 0)


def test_v0_keeps_name_input_and_force_backward_only():
    text = "name: 'n' force_backward: true debug_info: true state { level: 1 }" + v0("type: 'relu'")
    net = parse_net(text).message
    assert (net.name, net.force_backward) == ("n", True)
    assert not net.debug_info
    assert not net.HasField("state")


def test_v0_padding_folds_into_a_pool_too():
    text = v0("name: 'pad' type: 'padding' pad: 3", 'bottom: "a" top: "p"')
    text += v0("name: 'q' type: 'pool'", 'bottom: "p" top: "q"')
    (pool,) = parse_net(text).message.layer
    assert list(pool.bottom) == ["a"]
    assert list(pool.pooling_param.pad) == [3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (v0("name: 'r' type: 'relu' num_output: 3"), ["n:1:1", "'relu'", "'num_output'"]),
        (v0("name: 'r' type: 'images' new_num: 3"), ["'new_num'"]),
        (v0("name: 'r' type: 'conw'"), ["'conw'", "Did you mean conv"]),
        (v0("type: 'relu'") + "layers { name: 'new' type: RELU }", ["n:2:1", "'new'"]),
        (
            v0("name: 'pad' type: 'padding'", 'bottom: "a" top: "p"')
            + v0("name: 'r' type: 'relu'", 'bottom: "p" top: "q"'),
            ["n:2:1", "padding layer 'pad' feeds layer 'r' (relu)"],
        ),
        (
            v0("name: 'pad' type: 'padding'", 'bottom: "a" top: "p"')
            + v0("name: 'c' type: 'conv'", 'bottom: ["p", "a"] top: "q"'),
            ["n:2:1", "one bottom"],
        ),
    ],
)
def test_v0_settings_without_a_place_are_refused(text, words):
    message = refusal(text)
    for word in words:
        assert word in message


# ---- input fields, BatchNorm -----------------------------------------------------------------


def test_inputs_without_shape_are_dropped():
    net = parse_net('input: "data" layer { name: "r" bottom: "data" }').message
    assert [layer.name for layer in net.layer] == ["r"]
    assert not len(net.input)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('input: "a" input: "b" input_dim: [1, 2, 3, 4]', "4 input_dim"),
        ('input: "a" input_dim: [1, 2, 3]', "3 input_dim"),
        ('input: "a" input: "b" input_shape { dim: 1 }', "1 input_shape"),
    ],
)
def test_inputs_and_sizes_have_to_match(text, found):
    message = refusal(text)
    assert message.startswith("n:1:1: ")
    assert found in message


def test_shape_wins_over_dims():
    text = 'input: "a" input_shape { dim: 7 } input_dim: [1, 2, 3, 4]'
    assert list(parse_net(text).message.layer[0].input_param.shape[0].dim) == [7]


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_batch_norm_with_another_number_of_params_is_left(count):
    params = "param { lr_mult: 1 }" * count
    (layer,) = parse_net(f'layer {{ type: "BatchNorm" {params} }}').message.layer
    assert [p.lr_mult for p in layer.param] == [1] * count


# ---- solvers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SGD", "SGD"),
        ("NESTEROV", "Nesterov"),
        ("ADAGRAD", "AdaGrad"),
        ("RMSPROP", "RMSProp"),
        ("ADADELTA", "AdaDelta"),
        ("ADAM", "Adam"),
        ("5", "Adam"),
    ],
)
def test_solver_types(old, new):
    solver = parse_solver(f"solver_type: {old}").message
    assert solver.type == new
    assert not solver.HasField("solver_type")


def test_both_solver_types_are_refused():
    assert refusal('type: "SGD"\nsolver_type: SGD', parse_solver).startswith("n:2:1: both")


def test_snapshot_prefix_is_never_missing(tmp_path):
    def prefix(text):
        path = tmp_path / "my.solver.prototxt"
        path.write_text(text)
        return read_solver(path).message.snapshot_prefix

    assert prefix("base_lr: 1") == str(tmp_path / "my.solver")
    assert prefix('snapshot_prefix: "out/s"') == "out/s"
    assert prefix(f'snapshot_prefix: "{tmp_path}"') == str(tmp_path / "my.solver")
    assert not parse_solver("base_lr: 1").message.HasField("snapshot_prefix")
