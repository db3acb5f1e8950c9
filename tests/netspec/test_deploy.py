"""Deployment nets derived from training nets of many shapes."""

import pytest
from demitasse import netspec
from demitasse.errors import GraphError
from demitasse.netspec import build, deploy, parse_net, read_net_binary, to_text


def ends(net):
    graph = build(net, "TEST")
    return [v.blob for v in graph.inputs], [v.blob for v in graph.outputs]


def names(net):
    return [layer.name for layer in net.layer]


def data(*tops, kind="HDF5Data", rules=""):
    tops = " ".join(f'top: "{top}"' for top in tops)
    return f'layer {{ name: "load" type: "{kind}" {tops} {rules} }}\n'


def layer(kind, name, bottom, top, more=""):
    bottoms = " ".join(f'bottom: "{blob}"' for blob in bottom.split())
    tops = " ".join(f'top: "{blob}"' for blob in top.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} {tops} {more} }}\n'


def loss(bottom, kind="SoftmaxWithLoss", more=""):
    return layer(kind, "loss", bottom, "loss", more)


FC = layer("InnerProduct", "fc", "data", "score", "inner_product_param { num_output: 3 }")
TRAIN = "include { phase: TRAIN }"
TEST = "include { phase: TEST }"


# ---- the U-Net -------------------------------------------------------------------------------


def test_the_unet(unet_2015):
    source = parse_net(unet_2015)
    net = deploy(source, shape=(1, 1, 188, 188))
    assert ends(net) == (["data"], ["prob"])
    types = [new.type for new in net.layer]
    assert types[0] == "Input"
    assert types[-1] == "Softmax"
    assert not {"HDF5Data", "SoftmaxWithLoss", "Dropout"} & set(types)
    kept = {new.name: new for new in net.layer}
    for old in source.message.layer:
        if old.type in ("Convolution", "Deconvolution", "Pooling", "Crop", "Concat", "ReLU"):
            assert kept.pop(old.name) == old
    assert set(kept) == {"data", "prob"}
    assert list(net.layer[0].input_param.shape[0].dim) == [1, 1, 188, 188]


def test_without_softmax_the_score_is_the_output(unet_2015):
    net = deploy(parse_net(unet_2015), softmax=False)
    assert ends(net) == (["data"], ["score"])
    assert not len(net.layer[0].input_param.shape)


def test_deploying_twice_changes_nothing(unet_2015):
    net = deploy(parse_net(unet_2015), shape={"data": (1, 1, 188, 188)})
    assert deploy(net) == net
    assert deploy(parse_net(to_text(net))) == net


# ---- data, labels, losses, metrics -----------------------------------------------------------


def test_labels_and_what_hangs_on_them_go():
    text = data("data", "label", "weights") + FC
    text += layer("Flatten", "fl", "label", "fl") + layer("Power", "pw", "weights", "pw")
    text += loss("score fl pw") + layer("Accuracy", "acc", "score label", "acc", TEST)
    text += layer("Power", "unread", "label", "unread")
    text += layer("Silence", "s", "weights", "") + layer("Power", "twice", "loss", "loss2")
    net = deploy(parse_net(text))
    assert names(net) == ["data", "fc", "prob"]
    assert ends(net) == (["data"], ["prob"])


def test_a_label_cropped_to_the_score_goes():
    text = data("data", "label") + FC + layer("Crop", "c", "label score", "lc") + loss("score lc")
    assert names(deploy(parse_net(text), softmax=False)) == ["data", "fc"]


def test_a_label_is_known_even_where_its_loss_is_not_in_the_test_phase():
    text = 'input: "data" input: "label" input_shape { dim: [2, 5] } input_shape { dim: 2 }'
    text += FC + layer("Flatten", "fl", "label", "fl") + loss("score fl", more=TRAIN)
    net = deploy(parse_net(text))
    assert names(net) == ["data", "fc", "prob"]
    assert list(net.layer[0].input_param.shape[0].dim) == [2, 5]


def test_losses_may_take_label_and_prediction_in_either_order():
    text = data("data", "target") + FC + loss("target score", "EuclideanLoss")
    assert ends(deploy(parse_net(text))) == (["data"], ["score"])


def test_an_autoencoders_target_is_its_own_input():
    text = data("data") + layer("Flatten", "flat", "data", "flat") + FC
    text += layer("Sigmoid", "sig", "score", "out")
    text += layer("SigmoidCrossEntropyLoss", "l1", "score flat", "l1")
    text += layer("EuclideanLoss", "l2", "out flat", "l2")
    text += layer("Power", "double", "l2", "double")
    net = deploy(parse_net(text))
    assert names(net) == ["data", "fc", "sig"]
    assert ends(net) == (["data"], ["out"])


def test_side_outputs_stay():
    text = data("data", "label") + FC + layer("ArgMax", "arg", "score", "arg")
    text += layer("Pooling", "p", "data", "p") + loss("score label")
    assert ends(deploy(parse_net(text), softmax=False)) == (["data"], ["arg", "p"])


def test_several_losses_give_several_softmaxes():
    text = data("data", "label") + FC + loss("score label")
    text += layer("InnerProduct", "aux", "data", "aux")
    text += layer("SoftmaxWithLoss", "l2", "aux label", "l2", "loss_weight: 0.3")
    assert ends(deploy(parse_net(text))) == (["data"], ["prob_aux", "prob_score"])


def test_the_softmax_works_along_the_losss_axis():
    text = data("data", "label") + FC + loss("score label", more="softmax_param { axis: 2 }")
    assert deploy(parse_net(text)).layer[-1].softmax_param.axis == 2


def test_a_softmax_that_is_there_is_enough_and_a_taken_name_is_avoided():
    there = layer("Softmax", "prob", "score", "prob", TEST)
    text = data("data", "label") + FC + loss("score label")
    assert names(deploy(parse_net(text + there))) == ["data", "fc", "prob"]
    taken = layer("Power", "prob", "data", "prob")
    assert names(deploy(parse_net(text + taken)))[-1] == "prob_score"


# ---- losses of one's own ---------------------------------------------------------------------

PROB = layer("Softmax", "prob", "score", "prob")
DICE = layer("Python", "dice", "prob label", "dice", 'loss_weight: 1 python_param { layer: "D" }')


def test_a_loss_of_any_type_is_known_by_its_weight():
    net = deploy(parse_net(data("data", "label") + FC + PROB + DICE))
    assert names(net) == ["data", "fc", "prob"]


def test_a_weighted_layer_that_others_read_is_none():
    text = data("data") + FC + layer("Sigmoid", "s", "score", "s", "loss_weight: 0.1")
    assert names(deploy(parse_net(text + layer("Power", "p", "s", "p")))) == [
        "data",
        "fc",
        "s",
        "p",
    ]


@pytest.mark.parametrize(
    "loss",
    [
        DICE.replace("loss_weight: 1", ""),
        layer("Eltwise", "d", "prob label", "d")
        + layer("Reduction", "r", "d", "r", "loss_weight: 1"),
        layer("Eltwise", "d", "prob label", "d") + layer("ReLU", "r", "d", "d"),
    ],
)
def test_inputs_that_are_named_are_the_only_ones(loss):
    """Where it cannot be seen what the label is."""
    source = parse_net(data("data", "label") + FC + PROB + loss)
    with pytest.raises(GraphError, match=r"needs 2 inputs.*those alone that the prediction needs"):
        deploy(source)
    assert names(deploy(source, inputs=["data"])) == ["data", "fc", "prob"]
    assert names(deploy(source, inputs=["score"])) == ["score", "prob"]


# ---- phases and saved nets -------------------------------------------------------------------


def test_the_test_phase_counts():
    text = data("data", "label", rules=TRAIN) + data("data", "label", kind="Data", rules=TEST)
    text += layer("Dropout", "drop", "data", "data", TRAIN) + FC + loss("score label")
    text += layer("Sigmoid", "late", "score", "late", 'include { phase: TEST stage: "x" }')
    assert names(deploy(parse_net(text))) == ["data", "fc", "prob"]
    assert names(deploy(parse_net(text), stages=["x"])) == ["data", "fc", "late", "prob"]
    assert all(not len(new.include) for new in deploy(parse_net(text), stages=["x"]).layer)


def test_augmentation_of_the_train_phase_leaves_its_result_as_the_input():
    text = data("raw", "label", rules=TRAIN)
    text += layer("ValueAugmentation", "aug", "raw", "data", TRAIN) + FC
    text += loss("score label", more=TRAIN)
    assert names(deploy(parse_net(text))) == ["data", "fc", "prob"]


def test_a_saved_net_loses_its_splits_and_phases_and_keeps_its_blobs():
    text = data("data", "label") + FC + layer("Dropout", "drop", "score", "score")
    text += loss("score label") + layer("Accuracy", "acc", "score label", "acc")
    graph = build(parse_net(text), "TRAIN")
    saved = parse_net("").message
    saved.layer.extend(node.layer for node in graph.nodes)
    next(new for new in saved.layer if new.name == "fc").blobs.add(data=[1, 2, 3])
    net = deploy(read_net_binary(saved.SerializeToString()))
    assert names(net) == ["data", "fc", "drop", "prob"]
    assert list(net.layer[1].blobs[0].data) == [1, 2, 3]
    assert not any(new.HasField("phase") for new in net.layer)


def test_a_phase_that_the_user_wrote_stays():
    text = data("data", "label") + FC + layer("Dropout", "d", "score", "score", "phase: TRAIN")
    net = deploy(parse_net(text + loss("score label")))
    assert [new.HasField("phase") for new in net.layer] == [False, False, True, False]


def test_params_stay_and_the_source_is_left_alone():
    text = data("data", "label") + layer(
        "InnerProduct", "fc", "data", "score", 'param { lr_mult: 3 name: "w" } loss_weight: 0'
    )
    source = parse_net(text + loss("score label"))
    before = source.message.SerializeToString()
    fc = deploy(source).layer[1]
    assert (fc.param[0].lr_mult, fc.param[0].name, list(fc.loss_weight)) == (3, "w", [0])
    assert source.message.SerializeToString() == before


# ---- inputs ----------------------------------------------------------------------------------

TWO = data("a", "b", "label") + layer("Concat", "cat", "a b", "data") + FC + loss("score label")


def test_two_inputs_have_to_be_named():
    source = parse_net(TWO, "n.prototxt")
    with pytest.raises(GraphError, match="needs 2 inputs, 'a', 'b'") as caught:
        deploy(source)
    assert caught.value.where == "n.prototxt"
    with pytest.raises(GraphError, match="'b' is one of them"):
        deploy(source, shape={"a": (1, 2)})
    with pytest.raises(GraphError, match="without saying for which"):
        deploy(source, inputs=["a", "b"], shape=(1, 2))
    named = deploy(source, inputs=["a", "b"])
    assert ends(named) == (["a", "b"], ["prob"])
    shaped = deploy(source, shape={"b": (1, 2), "a": (1, 3)})
    assert [list(new.input_param.shape[0].dim) for new in shaped.layer[:2]] == [[1, 3], [1, 2]]


def test_an_input_may_lie_in_the_middle():
    assert names(deploy(parse_net(TWO), inputs=["data"])) == ["data", "fc", "prob"]
    inner = data("data", "label") + FC + layer("ReLU", "r", "score", "score") + loss("score label")
    assert names(deploy(parse_net(inner), inputs=["score"])) == ["score", "r", "prob"]


def test_an_input_layer_avoids_the_name_of_another_layer():
    text = data("data", "label") + FC.replace('"fc"', '"data"') + loss("score label")
    assert names(deploy(parse_net(text))) == ["data_input", "data", "prob"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"shape": {"dta": (1,)}}, "no input 'dta'; found 'data'. Did you mean data?"),
        ({"inputs": ["data", "label"]}, "no input 'label'"),
        ({"shape": (1, 0)}, "must be positive"),
    ],
)
def test_wrong_inputs_are_refused(arguments, words):
    with pytest.raises(GraphError) as caught:
        deploy(parse_net(data("data", "label") + FC + loss("score label")), **arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        data("data", "label"),
        data("data", "label") + loss("data label"),
        data("data", "label", rules=TRAIN) + FC.replace("top:", TRAIN + " top:", 1),
    ],
)
def test_nothing_left_is_refused(text):
    with pytest.raises(GraphError, match="nothing is left") as caught:
        deploy(parse_net(text, "n.prototxt"))
    assert caught.value.where == "n.prototxt"


def test_a_bottom_nobody_makes_is_no_input():
    with pytest.raises(GraphError, match=r"n:2:\d+: .*'dat', which no layer makes.*mean data"):
        deploy(parse_net(data("data") + FC.replace('bottom: "data"', 'bottom: "dat"'), "n"))


ADDED = """layer { name: "one" type: "Input" top: "a" input_param { shape { dim: 1 dim: 4 } } }
layer { name: "two" type: "%s" top: "b" %s }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "y" }"""


@pytest.mark.parametrize(
    "other",
    [("Input", "input_param {%s}"), ("DummyData", "dummy_data_param {%s}")],
)
def test_inputs_whose_shapes_the_file_states_need_not_be_named(other):
    kind, param = other
    text = ADDED % (kind, param % " shape { dim: 2 dim: 4 } ")
    net = netspec.deploy(netspec.parse_net(text))
    shapes = [list(layer.input_param.shape[0].dim) for layer in net.layer[:2]]
    assert shapes == [[1, 4], [2, 4]]
    net = netspec.deploy(netspec.parse_net(text), shape={"a": (3, 4)})
    assert list(net.layer[0].input_param.shape[0].dim) == [3, 4]
    with pytest.raises(GraphError, match="not clear that 'b' is one of them"):
        netspec.deploy(netspec.parse_net(ADDED % (kind, "")))


def test_layers_of_the_deployment_net_keep_their_places():
    text = """layer { name: "d" type: "HDF5Data" top: "data" top: "label" }
layer { name: "c" type: "Convolution" bottom: "data" top: "y" include { phase: TRAIN } }
layer { name: "c" type: "Convolution" bottom: "data" top: "y" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" }"""
    source = netspec.deployed(netspec.parse_net(text, "n"), softmax=False)
    assert [layer.name for layer in source.message.layer] == ["data", "c"]
    assert [source.where_nth(i) for i in range(2)] == ["n", "n:3:1"]
