"""Rows of the table of layers."""


def layer(kind, name, bottoms, tops, forward=1.0, backward=2.0, engine=""):
    return {
        "type": kind,
        "name": name,
        "bottoms": bottoms,
        "tops": tops,
        "shape": [1],
        "engine": engine,
        "forward": forward,
        "backward": backward,
    }


NET = [
    layer("Input", "data", [], ["data"]),
    layer("Convolution", "c", ["data"], ["c"], engine="im2col"),
    layer("ReLU", "r", ["c"], ["c"], 0.5, 0.25),
    layer("Split", "s", ["c"], ["c_0", "c_1"], 0.0, 0.125),
    layer("Deconvolution", "u", ["c_0"], ["u"]),
    layer("Crop", "k", ["c_1", "u"], ["k"], 4.0, 8.0),
    layer("Concat", "j", ["u", "k"], ["j"]),
]


def test_what_belongs_together_is_one_row():
    import layers

    rows = layers.rows(NET)
    assert list(rows) == ["c", "u", "j"]
    assert (rows["c"]["forward"], rows["c"]["backward"]) == (1.5, 2.25)
    assert (rows["j"]["forward"], rows["j"]["backward"]) == (5.0, 10.125)
    assert rows["c"]["engine"] == "im2col"


def test_medians_over_turns_and_the_faster_layout():
    import layers

    slow = [{**x, "forward": 9.0} for x in NET]
    assert layers.medians([NET, slow, NET])["u"]["forward"] == 1.0
    turns = {"contiguous": [{"c": (1.0, 9.0)}, {"c": (3.0, 9.0)}], "last": [{"c": (5.0, 4.0)}]}
    assert layers.theirs(turns) == {"c": (2.0, 4.0)}


def test_the_table_counts_and_compares():
    import layers

    rows = layers.rows(NET)
    text = layers.layer_table(rows, {"c": (3e9, 4.5e9)}, {"c": (3.0, 4.5)}).splitlines()
    assert text[1].split() == ["c", "im2col", "1", "1.50", "s", "2", "2.25", "s", "2", "3.00", "s",
                               "0.50", "4.50", "s", "0.50"]  # fmt: skip
    assert text[-1].split()[:3] == ["all", "7.50", "s"]
