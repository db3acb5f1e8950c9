"""Offsets of CROP layers that give none: the U-Net's, and what cannot be aligned."""

import pytest
from demitasse.errors import SpecError
from demitasse.netspec import parse_net


def offsets(source):
    crops = [layer.crop_param for layer in source.message.layer if layer.type == "Crop"]
    assert all(crop.axis == 2 for crop in crops)
    return [list(crop.offset) for crop in crops]


def test_the_unet_gives_4_16_40_88(unet_2015):
    assert offsets(parse_net(unet_2015)) == [[4], [16], [40], [88]]


def layers(*texts):
    return "\n".join(f"layers {{ {text} }}" for text in texts)


def conv(bottom, top, param, kind="CONVOLUTION"):
    field = "pooling_param" if kind == "POOLING" else "convolution_param"
    return f"name: '{top}' type: {kind} bottom: '{bottom}' top: '{top}' {field} {{ {param} }}"


CROP = "name: 'crop' type: CROP bottom: 'data' bottom: '{}' top: 'out'"


@pytest.mark.parametrize(
    ("param", "kind", "offset"),
    [
        ("kernel_size: 3", "CONVOLUTION", [1]),
        ("kernel_size: 3 pad: 1", "CONVOLUTION", [0]),
        ("kernel_size: 3 dilation: 4", "CONVOLUTION", [4]),
        ("kernel_h: 3 kernel_w: 5", "CONVOLUTION", [1, 2]),
        ("kernel_size: 1 kernel_size: 3 kernel_size: 3", "CONVOLUTION", [0, 1, 1]),
        ("kernel_size: [3, 5] pad_h: 1 pad_w: 2", "CONVOLUTION", [0]),
        ("kernel_size: 3 stride: 1", "POOLING", [1]),
        ("kernel_size: 3 pad: 1", "DECONVOLUTION", [0]),
        ("kernel_size: 3 pad: 3", "DECONVOLUTION", [2]),
    ],
)
def test_one_window(param, kind, offset):
    assert offsets(parse_net(layers(conv("data", "a", param, kind), CROP.format("a")))) == [offset]


def test_down_and_up_again():
    # i -> 2i + 0.5 (pool), i -> i/2 - 0.25 (up): together the identity
    net = layers(
        conv("data", "a", "kernel_size: 2 stride: 2", "POOLING"),
        "name: 'r' type: RELU bottom: 'a' top: 'a'",
        conv("a", "b", "kernel_size: 2 stride: 2", "DECONVOLUTION"),
        conv("b", "c", "kernel_size: 5"),
        CROP.format("c"),
    )
    assert offsets(parse_net(net)) == [[2]]


def test_a_crop_counts_for_the_next_one():
    net = layers(
        conv("data", "a", "kernel_size: 3"),
        CROP.format("a"),
        "name: 'sum' type: ELTWISE bottom: 'a' bottom: 'out' top: 's'",
        conv("s", "b", "kernel_size: 3"),
        "name: 'crop2' type: CROP bottom: 'out' bottom: 'b' top: 'out2'",
    )
    assert offsets(parse_net(net)) == [[1], [1]]


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        ([conv("other", "a", "kernel_size: 3")], ["different blobs, 'data' and 'other'"]),
        ([conv("data", "a", "kernel_size: 2 stride: 2")], ["different size", "1 and 2"]),
        ([conv("data", "a", "kernel_size: 2")], ["1/2 pixels", "no whole number"]),
        ([conv("data", "a", "kernel_size: 1 pad: 3")], ["-3", "reference is the larger"]),
        (
            ["name: 'f' type: INNER_PRODUCT bottom: 'data' top: 'a'"],
            ["'f' (InnerProduct) does not keep positions"],
        ),
        (
            [
                conv("data", "x", "kernel_size: 3"),
                conv("data", "y", "kernel_size: 5"),
                "name: 'sum' type: ELTWISE bottom: 'x' bottom: 'y' top: 'a'",
            ],
            ["'sum' joins blobs that are not aligned"],
        ),
        (
            [
                conv("data", "x", "kernel_size: [1, 3, 3]"),
                conv("x", "a", "kernel_h: 3 kernel_w: 5"),
            ],
            ["'a' has another number of spatial axes"],
        ),
        (
            ["name: 'c' type: CONCAT bottom: 'data' top: 'a' concat_param { concat_dim: 2 }"],
            ["'c' (Concat) does not keep positions"],
        ),
        (
            [conv("data", "a", "global_pooling: true", "POOLING")],
            ["'a' (Pooling) does not keep positions"],
        ),
    ],
)
def test_what_cannot_be_aligned_is_refused_by_name(middle, words):
    text = layers(*middle, CROP.format("a"))
    with pytest.raises(SpecError) as caught:
        parse_net(text, "n.prototxt")
    message = str(caught.value)
    assert message.startswith(f"n.prototxt:{len(middle) + 1}:1: the offset of crop layer 'crop'")
    assert "'data' and 'a'" in message
    for word in words:
        assert word in message


def test_todays_crop_without_offset_is_left_to_mean_the_corner():
    source = parse_net('layer { name: "c" type: "Crop" bottom: "a" bottom: "b" top: "c" }')
    assert not source.message.layer[0].HasField("crop_param")
