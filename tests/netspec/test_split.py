"""Split insertion, text to text: Caffe's names, order and loss weights."""

from demitasse.netspec import parse_net, schema
from demitasse.netspec.split import with_splits, without_splits


def layer(name, bottom=(), top=(), **more):
    return schema.LayerParameter(name=name, type="X", bottom=bottom, top=top, **more)


def split(*layers):
    return [new for _, new in with_splits(layers)]


def ends(layers):
    return [(new.name, list(new.bottom), list(new.top)) for new in layers]


def test_nothing_shared_nothing_split():
    layers = [layer("a", top=["x", "y"]), layer("b", ["x"], ["z"]), layer("c", ["y", "z"])]
    assert split(*layers) == layers


def test_names_count_versions_and_readers_in_order():
    got = split(
        layer("in", top=["u", "x"]),
        layer("r", ["x"], ["x"]),
        layer("a", ["x"], ["p"]),
        layer("b", ["u", "x"], ["q"]),
        layer("c", ["x", "x"]),
    )
    assert ends(got) == [
        ("in", [], ["u", "x"]),
        ("r", ["x"], ["x"]),
        ("x_r_0_split", ["x"], [f"x_r_0_split_{k}" for k in range(4)]),
        ("a", ["x_r_0_split_0"], ["p"]),
        ("b", ["u", "x_r_0_split_1"], ["q"]),
        ("c", ["x_r_0_split_2", "x_r_0_split_3"], []),
    ]


def test_the_top_index_is_the_makers():
    got = split(layer("in", top=["u", "x"]), layer("a", ["x"]), layer("b", ["x"]))
    assert got[1].name == "x_in_1_split"


def test_two_splits_behind_one_layer_stand_in_the_order_of_its_tops():
    got = split(layer("in", top=["u", "x"]), layer("a", ["x", "u"]), layer("b", ["x", "u"]))
    assert [new.name for new in got] == ["in", "u_in_0_split", "x_in_1_split", "a", "b"]


def test_a_loss_weight_is_a_reader_and_moves_to_copy_0():
    got = split(layer("red", top=["r"], loss_weight=[2]), layer("use", ["r"], ["q"]))
    red, copies, use = got
    assert not len(red.loss_weight)
    assert list(copies.loss_weight) == [2, 0]
    assert list(use.bottom) == ["r_red_0_split_1"]


def test_a_moved_weight_leaves_the_other_tops_theirs():
    red, copies, _ = split(
        layer("two", top=["r", "s"], loss_weight=[2, 0.5]), layer("use", ["r"], ["q"])
    )
    assert list(red.loss_weight) == [0, 0.5]
    assert list(copies.loss_weight) == [2, 0]


def test_a_weight_of_0_is_no_reader():
    layers = [layer("red", top=["r"], loss_weight=[0]), layer("use", ["r"], ["q"])]
    assert split(*layers) == layers


def test_dropping_the_splits_gives_the_net_again():
    layers = [
        layer("in", top=["x"]),
        layer("r", ["x"], ["x"]),
        layer("a", ["x"], ["p"]),
        layer("b", ["x", "p"], ["q"]),
    ]
    assert without_splits(split(*layers)) == layers


def test_a_users_own_split_stays():
    text = 'layer { name: "s" type: "Split" bottom: "x" top: "a" top: "b" }'
    layers = list(parse_net(text).message.layer)
    assert without_splits(layers) == layers


def test_the_argument_is_not_changed():
    layers = [layer("in", top=["x"], loss_weight=[1]), layer("a", ["x"])]
    before = [new.SerializeToString() for new in layers]
    with_splits(layers)
    assert [new.SerializeToString() for new in layers] == before
