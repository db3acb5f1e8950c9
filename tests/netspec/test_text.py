"""Prototxt in, message and positions out; every refusal is a SpecError that says where."""

import math
import tracemalloc

import pytest
from demitasse import netspec
from demitasse.errors import SpecError
from demitasse.netspec import parse_net, parse_solver, schema, to_text
from demitasse.netspec.text import read_text
from hypothesis import given, settings
from hypothesis import strategies as st


def read(text, name="NetParameter"):
    message = schema.message(name)()
    read_text(text, message, "x.prototxt")
    return message


def refusal(text, name="NetParameter"):
    with pytest.raises(SpecError) as caught:
        read(text, name)
    return str(caught.value)


# ---- what is accepted ------------------------------------------------------------------------

SAME = [
    'layer { name: "a" top: "x" top: "y" }',
    'layer: { name: "a" top: "x" top: "y" }',
    "layer { name: 'a' top: ['x', 'y'] }",
    'layer < name: "a", top: "x"; top: "y" >',
    '# comment\nlayer { # more { "\n name: "a" top: "x" top: "y" }#',
    'layer [{ name: "" "a" top: "x" top: "\\171" }]',
    '\ufefflayer\r\n{\tname\f:\v"a"top:"\\x78"top:"y"}',
]


@pytest.mark.parametrize("text", SAME)
def test_one_net_in_many_spellings(text):
    assert read(text) == schema.NetParameter(
        layer=[schema.LayerParameter(name="a", top=["x", "y"])]
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-1.5", -1.5),
        ("- 2", -2.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("2.5e-1", 0.25),
        ("1e3f", 1000.0),
        ("3F", 3.0),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("1e999", math.inf),
    ],
)
def test_floats(text, value):
    assert read(f"base_lr: {text}", "SolverParameter").base_lr == value


def test_nan():
    assert math.isnan(read("base_lr: -nan", "SolverParameter").base_lr)


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("-7", -7), ("0x1F", 31), ("-0X10", -16), ("017", 15), ("0", 0)],
)
def test_integers(text, value):
    assert read(f"max_iter: {text}", "SolverParameter").max_iter == value


@pytest.mark.parametrize(
    ("words", "value"),
    [(("true", "True", "t", "1", "0x1"), True), (("false", "False", "f", "0"), False)],
)
def test_booleans(words, value):
    assert [read(f"force_backward: {w}").force_backward for w in words] == [value] * len(words)


def test_enums_by_name_and_number():
    assert read("state { phase: TRAIN }") == read("state { phase: 0 }")
    assert read("solver_type: ADAM", "SolverParameter").solver_type == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\n\t\\\"\'\?"', "a\n\t\\\"'?"),
        (r'"\303\244 \u00e4 \U0001F375"', "ä ä 🍵"),
        ("'it''s' \"one\"", "itsone"),
        ("'a \"quoted\" # word'", 'a "quoted" # word'),
    ],
)
def test_strings(text, value):
    assert read(f"name: {text}").name == value


def test_bytes_need_not_be_text():
    assert read(r'data: "\377\000"', "Datum").data == b"\xff\x00"
    assert read(r'data: "\a\b\f\r\v"', "Datum").data == b"\a\b\f\r\v"


def test_fork_text_gives_one_pooling_size_per_axis():
    pooling = read("kernel_size: 1 kernel_size: 3 stride: [1, 2]", "PoolingParameter")
    assert list(pooling.kernel_size) == [1, 3]
    assert list(pooling.stride) == [1, 2]


def test_fork_layers_by_name():
    layer = read(
        "create_deformation_param { ny: 540 random_elastic_grid_spacing { v: 150 v: 150 } }"
        "apply_deformation_param { output_shape_from: 'score' } value_augmentation_param {}"
        "value_transformation_param { offset { v: -0.5 } } iou_param {} f1_param {}",
        "LayerParameter",
    )
    assert list(layer.create_deformation_param.random_elastic_grid_spacing.v) == [150, 150]
    assert list(layer.value_transformation_param.offset.v) == [-0.5]


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        # cases 1 to 4 of Caffe's recorded errors
        ('layer { type: "ReLU"\n colour: 3 }', "2:2", ["'layer' has no field 'colour'"]),
        ("layer { pooling_param { kernel: 2 } }", "1:25", ["kernel", "Did you mean kernel_"]),
        ('layer {\n name: "r"', "2:11", ["'layer' that begins in line 1 is not closed", "'}'"]),
        ("layer { pooling_param { pool: MEDIAN } }", "1:31", ["'MEDIAN'", "MAX, AVE, STOCHASTIC"]),
        # more of the kind
        ("layer { pooling_param { ceil_mode: false } }", "1:25", ["round_mode: FLOOR", "leave it"]),
        ("layer { transform_param { resize_param { } } }", "1:27", ["Resize the images before"]),
        ("layer { type: 'BN' bn_param { } }", "1:20", ["BatchNorm"]),
        ("layer { lstm_param { } }", "1:9", ["type LSTM with recurrent_param"]),
        ("layer { poolin_param { } }", "1:9", ["Did you mean pooling_param?"]),
        (
            "layer { type: 'ROIPooling' roi_pooling_param { } }",
            "1:28",
            ["Caffe 1.0 has no such field. Is the type 'ROIPooling' of a fork?"],
        ),
        (
            "layer { type: 'Convolution' fast_param { } }",
            "1:29",
            ["'fast_param'. BVLC's Caffe 1.0 has no such field."],
        ),
        ("layer { kernel_size: 3 }", "1:9", ["convolution_param or pooling_param"]),
        ('layer { name: "a"\nlayer { }', "2:1", ["'}' seems to be missing"]),
        ("layer { relu_param { bottom: 'a' } }", "1:22", ["belongs into 'layer'"]),
        ("base_lr: 1", "1:1", ["a net has no field 'base_lr'", "field of a solver"]),
        ("layers { type: 'RELU' }", "1:16", ["without quotes", "`layer`"]),
        ("layers { type: CONVOLUTON }", "1:16", ["CONVOLUTION"]),
        ("layers { param { lr_mult: 1 } }", "1:16", ["`blobs_lr: 1`"]),
        ("layer { param: 1 }", "1:16", ["a block of fields", "'param { ... }'"]),
        ("layer { type: ReLU }", "1:15", ["string in quotes", 'type: "ReLU"']),
        ("layer { } }", "1:11", ["closed that was not opened"]),
        ("layer { name: 'a' >", "1:19", [">"]),
        ("name: 'a' name: 'b'", "1:11", ["twice", "line 1, column 1"]),
        ("state { } state { }", "1:11", ["twice"]),
        ("name 'a'", "1:6", ["colon is missing"]),
        ("name: ['a']", "1:7", ["one value", "a list"]),
        ("input: ['a' 'b',]", "1:17", ["missing behind the comma"]),
        ("input: ['a'; 'b']", "1:12", ["',' or ']'"]),
        ("input_dim: 3.5", "1:12", ["whole number", "'3.5'"]),
        ("input_dim: 08", "1:12", ["whole number"]),
        ("input_dim: 2147483648", "1:12", ["out of range", "2147483647"]),
        ("input_dim: -2147483649", "1:12", ["-2147483648", "'-2147483649'"]),
        ("input_dim: " + "9" * 5000, "1:12", ["out of range", "..."]),
        ("layer { convolution_param { pad: -1 } }", "1:34", ["0 to 4294967295"]),
        ("force_backward: 2", "1:17", ["true or false"]),
        ("force_backward: yes", "1:17", ["true or false"]),
        ("state { phase: 7 }", "1:16", ["'7'", "TRAIN, TEST"]),
        ("layer { loss_weight: 0x10 }", "1:22", ["decimal number"]),
        ("layer { loss_weight: 1x }", "1:22", ["runs into a word"]),
        ("name: 'abc", "1:7", ["not closed"]),
        ("name: 'a\nb'", "1:7", ["not closed"]),
        (r"name: 'a\q'", "1:7", [r"\q"]),
        (r"name: '\777'", "1:7", [r"\777"]),
        (r"name: '\ud800'", "1:7", ["no character"]),
        (r"name: '\xff'", "1:7", ["not UTF-8"]),
        ("name: @", "1:7", ["'@'"]),
        ("layer { clip_param { min: 1 } }", "1:9", ["does not give 'max'"]),
        ("[a]: 1", "1:1", ["name of a field"]),
    ],
)
def test_refusals_say_where_and_why(text, where, words):
    message = refusal(text)
    assert message.startswith(f"x.prototxt:{where}: ")
    for word in words:
        assert word in message


def test_solver_refusals():
    # case 60
    message = refusal('net: "n"\nlearning_rate: 3', "SolverParameter")
    assert message.startswith("x.prototxt:2:1: a solver has no field 'learning_rate'")
    assert "Did you mean base_lr" not in message
    assert "momentum" in refusal("momentun: 0.9", "SolverParameter")
    assert "field of a net" in refusal("force_backward: true", "SolverParameter")


# ---- positions -------------------------------------------------------------------------------

PLACED = """name: "n"
layer { name: "a" type: "Input" top: "x" }
layer {
  name: "b" type: "Convolution" bottom: "x"
  top: "y" top: "z"
  convolution_param { num_output: 2
    kernel_size: [3,
      5] }
}
layer { name: "a" type: "ReLU"
  bottom: "y" }
"""


def test_positions():
    source = parse_net(PLACED, "n.prototxt")
    assert source.where(None, "name") == "n.prototxt:1:1"
    assert source.where("b") == "n.prototxt:3:1"
    assert source.where("b", "top") == "n.prototxt:5:3"
    assert source.where("b", "top", 1) == "n.prototxt:5:12"
    assert source.where("b", "convolution_param", "num_output") == "n.prototxt:6:23"
    assert source.where("b", "convolution_param", "kernel_size", 1) == "n.prototxt:8:7"
    # a field that is not written: the layer; an unknown layer or field: the file
    assert source.where("b", "convolution_param", "stride") == "n.prototxt:3:1"
    assert source.where("b", "top", 7) == "n.prototxt:3:1"
    assert source.where("nobody") == "n.prototxt"
    assert source.where(None, "force_backward") == "n.prototxt"


def test_positions_of_layers_that_share_a_name():
    source = parse_net(PLACED, "n.prototxt")
    assert source.where("a") == "n.prototxt:2:1"
    assert source.where_nth(2) == "n.prototxt:10:1"
    assert source.where_nth(2, "bottom") == "n.prototxt:11:3"


def test_positions_survive_the_upgrade():
    text = 'input: "x" input_dim: [1, 1, 2, 2]\n layers { name: "r" type: RELU\n  bottom: "x" }'
    source = parse_net(text, "old")
    assert [layer.name for layer in source.message.layer] == ["input", "r"]
    assert source.where_nth(1, "bottom") == "old:3:3"
    assert source.where_nth(0) == "old"
    v0 = 'layers { bottom: "x"\n layer { name: "r" type: "relu" } }'
    assert parse_net(v0, "old").where("r") == "old:1:1"


def test_positions_in_a_solver():
    assert parse_solver("\n base_lr: 1", "s").where(None, "base_lr") == "s:2:2"


# ---- any message, any text -------------------------------------------------------------------

_LEAVES = {
    "int32": st.integers(-(2**31), 2**31 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "string": st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=6),
    "bytes": st.binary(max_size=6),
}


def _leaf(field):
    if field.enum_type:
        return st.sampled_from([value.number for value in field.enum_type.values])
    names = {getattr(field, f"TYPE_{name.upper()}"): name for name in _LEAVES}
    return _LEAVES[names[field.type]]


@st.composite
def messages(draw, name):
    message = schema.message(name)()
    fields = list(message.DESCRIPTOR.fields)
    chosen = [field for field in fields if schema.is_required(field)]
    chosen += draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda f: f.name))
    for field in chosen:
        many = draw(st.integers(1, 3)) if schema.is_repeated(field) else 1
        for _ in range(many):
            part = messages(field.message_type.name) if field.message_type else _leaf(field)
            value = draw(part)
            if schema.is_repeated(field):
                getattr(message, field.name).append(value)
            elif field.message_type:
                getattr(message, field.name).CopyFrom(value)
            else:
                setattr(message, field.name, value)
    return message


@pytest.mark.parametrize("name", ["NetParameter", "SolverParameter", "LayerParameter", "Datum"])
def test_printing_and_reading_give_the_message_again(name):
    @settings(max_examples=60, deadline=None)
    @given(messages(name))
    def check(message):
        assert read(to_text(message), name) == message

    check()


_WORDS = ["layer", "layers", "name", "type", "top", "param", "input", "shape", "dim", "blobs"]
_WORDS += ["pooling_param", "clip_param", "data", "phase", "TEST", "CROP", "{", "}", "<", ">", "["]
_WORDS += ["]", ":", ",", ";", "-", "1", "0x", "1e9", "1.5f", "99999999999", '"a"', "'", "\\", "#"]
_WORDS += ["\n", " ", "\ud800", "\udc80", "'\ud800'", "'\\", "input_dim", "bottom", "inf", "\x00"]
_WORDS += ["layer {", "layers { type: CROP", 'bottom: "x"', 'top: "x"', "layer { type: 'padding'"]


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(st.text(max_size=40), st.lists(st.sampled_from(_WORDS), max_size=30).map(" ".join))
)
def test_any_text_gives_a_net_or_a_spec_error(text):
    try:
        source = parse_net(text)
    except SpecError as error:
        assert error.where.startswith("<text>")
    else:
        assert read(to_text(source.message)) == source.message


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_to_a_net_gives_a_net_or_a_spec_error(data):
    start = data.draw(st.integers(0, len(PLACED)))
    length = data.draw(st.integers(0, 30))
    new = data.draw(st.sampled_from([*_WORDS, ""]))
    try:
        parse_net(PLACED[:start] + new + PLACED[start + length :])
    except SpecError as error:
        assert error.where.startswith("<text>")


def test_deep_nesting_is_refused_not_followed():
    for opening in ("{", "layer {", "<", "layer [", "state: {"):
        refusal(opening * 3000)


def test_a_zero_byte_in_a_string():
    said = refusal('name: "a"\nlayer { top: "b\\0" }')
    assert "x.prototxt:2:14: the string of 'top' holds a zero byte" in said
    assert read('label: 1 data: "a\\0"', "Datum").data == b"a\0"


@pytest.mark.parametrize("spelt", [r"\033[31m", r"\x07", r"\177", r"\u009b", r"\uffff", r"\001"])
def test_a_control_character_in_a_string(spelt):
    """A terminal obeys it, and no picture of the net could hold it."""
    said = refusal(f'name: "a"\nlayer {{ top: "b{spelt}" }}')
    assert "x.prototxt:2:14: the string of 'top' holds a control character, \\" in said
    assert said.isprintable()
    assert read(r'name: "a\tb\r\n"').name == "a\tb\r\n"


def test_a_long_string_takes_no_more_than_its_length():
    text = 'name: "' + "a" * 500_000 + r"\t" * 1000 + '"'
    tracemalloc.start()
    try:
        name = parse_net(text).message.name
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert name == "a" * 500_000 + "\t" * 1000
    assert peak < 8 * len(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('net: "n.prototxt" base_lr: 1', "The net that it trains is n.prototxt."),
        ('train_net: "n.prototxt" bas_lr: 1', "Give the net that it trains."),
        ("net_param { layer { resize: 1 } } base_lr: 1", "Give the net that it trains."),
        ("base_lr: 1 max_iter: 2 {", "Give the net that it trains."),
    ],
)
def test_a_solver_where_a_net_is_wanted_is_told_so_whatever_is_wrong_in_it(text, said, tmp_path):
    path = tmp_path / "s.prototxt"
    path.write_text(text)
    assert netspec.is_solver(path)
    with pytest.raises(SpecError) as refused:
        netspec.read_net(path)
    assert str(refused.value) == f"{path}: is a solver, not a net. {said}"


@pytest.mark.parametrize("text", ["", "layer {", 'name: "base_lr: 1" net: 1 layer { a: 1 }', '"'])
def test_what_is_no_solver_is_read_as_a_net(text, tmp_path):
    path = tmp_path / "n.prototxt"
    path.write_text(text)
    assert not netspec.is_solver(path)
    with pytest.raises(SpecError) as refused:
        netspec.read_net(path)
    assert "is a solver" not in str(refused.value)
