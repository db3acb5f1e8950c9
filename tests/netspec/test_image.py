"""What the text of a net tells of its image, and what is left to guess."""

import pytest
from demitasse import netspec
from demitasse.netspec import schema

CONV = 'layer {{ type: "Convolution" name: "c" bottom: "{}" top: "score" }}'
CUT = """layer { type: "CreateDeformation" name: "def" bottom: "data" top: "def"
  create_deformation_param { ny: 24 nx: 28 } }"""


def image(data, phase=schema.TRAIN, blob="data"):
    source = netspec.parse_net(data + CONV.format(blob))
    return netspec.image_of(source, netspec.net_state(source.message, phase))


@pytest.mark.parametrize(
    ("kind", "says", "read", "guess"),
    [
        ("Input", "input_param { shape { dim: 4 dim: 3 dim: 8 dim: 9 } }", (4, 3, 8, 9), ""),
        ("Input", "", (1, 1, 572, 572), "1 x 572 x 572"),
        (
            "DummyData",
            "dummy_data_param { shape { dim: 2 dim: 3 dim: 8 dim: 9 } shape { dim: 2 } }",
            (2, 3, 8, 9),
            "",
        ),
        (
            "DummyData",
            "dummy_data_param { num: 2 num: 5 channels: 3 height: 8 width: 9 }",
            (2, 3, 8, 9),
            "",
        ),
        (
            "MemoryData",
            "memory_data_param { batch_size: 2 channels: 3 height: 8 width: 9 }",
            (2, 3, 8, 9),
            "",
        ),
        (
            "Data",
            "data_param { batch_size: 6 } "
            "transform_param { crop_size: 9 mean_value: 1 mean_value: 2 }",
            (6, 2, 9, 9),
            "",
        ),
        (
            "Data",
            'data_param { batch_size: 6 } transform_param { crop_size: 9 mean_file: "m" }',
            (6, 3, 9, 9),
            "3 channels",
        ),
        ("Data", "transform_param { force_gray: true }", (1, 1, 572, 572), "572 x 572"),
        (
            "ImageData",
            "image_data_param { batch_size: 6 new_height: 8 new_width: 9 }",
            (6, 3, 8, 9),
            "",
        ),
        ("ImageData", "image_data_param { is_color: false }", (1, 1, 572, 572), "572 x 572"),
        (
            "WindowData",
            "window_data_param { batch_size: 6 } transform_param { crop_size: 9 }",
            (6, 3, 9, 9),
            "",
        ),
        ("HDF5Data", "hdf5_data_param { batch_size: 6 }", (6, 1, 572, 572), "1 x 572 x 572"),
    ],
)
def test_what_a_layer_of_data_tells(kind, says, read, guess):
    found = image(f'layer {{ type: "{kind}" name: "d" top: "data" top: "label" {says} }}')
    assert (found.blob, found.read, found.guess) == ("data", read, guess)
    assert found.shape[1:] == read[1:]


def test_the_tile_that_a_net_cuts_is_its_image():
    data = 'layer { type: "HDF5Data" name: "d" top: "data" hdf5_data_param { batch_size: 2 } }'
    found = image(data + CUT)
    assert (found.read, found.guess) == ((2, 1, 24, 28), "1 channel")


def test_each_phase_has_its_own_and_else_the_others():
    data = "".join(
        f'layer {{ type: "Data" name: "d" top: "data" include {{ phase: {phase} }} '
        f"data_param {{ batch_size: {batch} }} {crop} }}"
        for phase, batch, crop in (
            ("TEST", 2, ""),
            ("TRAIN", 6, "transform_param { crop_size: 9 force_color: true }"),
        )
    )
    assert image(data, schema.TRAIN).read == (6, 3, 9, 9)
    assert image(data, schema.TEST).read == (2, 3, 9, 9)


def test_what_the_caller_gives_is_no_guess():
    found = image('layer { type: "HDF5Data" name: "d" top: "data" }')
    assert found.having(3, None).guess == "572 x 572"
    assert found.having(None, (8, 9, 10)).guess == "1 channel"
    assert found.having(3, (8, 9)).shape == (1, 3, 8, 9) and not found.having(3, (8, 9)).guess
    assert found.having(None, None) == found


def test_a_net_that_reads_nothing_has_no_image():
    assert image('layer { type: "Parameter" name: "p" top: "w" }', blob="w") is None
