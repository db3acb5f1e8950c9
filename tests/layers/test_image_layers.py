"""Data, ImageData, WindowData and MemoryData: layers that give images to a net."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse import netspec
from demitasse.data import datum, pictures, records
from demitasse.data.blobproto import write_blob
from demitasse.errors import DataError, ImageError, SpecError
from demitasse.layers.base import Context
from demitasse.layers.registry import create, layer_class
from demitasse.net import Net

from .driver import Rig


def message(text):
    return netspec.parse_net(f"layer {{ name: 'test' {text} }}").message.layer[0]


def rig(text, folder, **settings):
    spec = message(text)
    return Rig(layer_class(spec.type), spec, [], folder=str(folder), **settings)


def refused(kind, text, match, folder):
    with pytest.raises(kind, match=match):
        create(message(text), Context(folder=str(folder), where="net.prototxt:1:1")).shapes()


def labels(layer, passes, top=1):
    return [int(v) for _ in range(passes) for v in layer.forward()[top].ravel()]


def net_of(text, folder, **settings):
    graph = netspec.build(netspec.parse_net(text), "TRAIN")
    return Net(graph, folder=str(folder), keep=True, **settings)


def images(n, shape, seed=0):
    return [
        np.random.default_rng(seed + k).integers(0, 256, shape).astype(np.uint8) for k in range(n)
    ]


# ---- Data

DATA = (
    "type: 'Data' top: 'data' top: 'label' data_param { source: 'db' backend: LMDB batch_size: 2 }"
)


@pytest.fixture
def db(tmp_path):
    """Five images of 3 x 4 x 5, labels 0 to 4."""
    with records.create(str(tmp_path / "db")) as put:
        for k, image in enumerate(images(5, (3, 4, 5))):
            put(b"%08d" % k, datum.pack(image, k))
    return tmp_path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_data_gives_rows_in_order(db, dtype):
    one = rig(DATA, db, dtype=dtype)
    assert one.shapes.tops == ((2, 3, 4, 5), (2,))
    data, label = one.forward()
    np.testing.assert_array_equal(data, images(2, (3, 4, 5)))
    assert label.tolist() == [0, 1] and data.dtype == dtype
    assert labels(one, 3) == [2, 3, 4, 0, 1, 2]
    alone = rig(DATA.replace(" top: 'label'", ""), db)
    assert alone.shapes.tops == ((2, 3, 4, 5),) and len(alone.forward()) == 1


def test_data_is_transformed_and_the_mean_is_of_the_pixel(db):
    mean = np.random.default_rng(9).uniform(0, 255, (1, 3, 4, 5)).astype(np.float32)
    write_blob(str(db / "mean"), mean, legacy=True)
    text = DATA + "transform_param { scale: 0.5 crop_size: 2 mean_file: 'mean' }"
    data, _ = rig(text, db, phase="TEST", dtype=np.float32).forward()
    middle = (slice(None), slice(1, 3), slice(1, 3))
    for got, image in zip(data, images(2, (3, 4, 5)), strict=True):
        np.testing.assert_array_equal(got, ((image - mean[0]) * np.float32(0.5))[middle])


RANDOM = DATA + "transform_param { crop_size: 3 mirror: true }"


def test_data_resumes_where_it_was(db):
    straight = [x.copy() for r in [rig(RANDOM, db)] for _ in range(7) for x in [r.forward()[0]]]
    assert len({x.tobytes() for x in straight}) == 7
    first = rig(RANDOM, db)
    for want in straight[:4]:
        np.testing.assert_array_equal(first.forward()[0], want)
    state = first.layer.state()
    assert state == {"items": 8}
    second = rig(RANDOM, db)
    second.layer.load_state(state)
    for want in straight[4:]:
        np.testing.assert_array_equal(second.forward()[0], want)
    assert (rig(RANDOM, db, seed=8).forward()[0] != straight[0]).any()


def test_processes_share_the_rows_of_data_batch_by_batch(db):
    alone = rig(DATA, db)
    shares = [rig(DATA, db, rank=rank, ranks=3) for rank in range(3)]
    together = [labels(share, 1) for _ in range(4) for share in shares]
    assert together == [labels(alone, 1) for _ in range(12)]
    assert [share.layer.state() for share in shares] == [alone.layer.state()] * 3


def test_data_of_changing_sizes_changes_the_net(tmp_path):
    """As in Caffe a batch has the size of its first image."""
    sizes = [(4, 5), (4, 5), (7, 6), (7, 6), (2, 3), (2, 3)]
    with records.create(str(tmp_path / "db")) as put:
        for k, size in enumerate(sizes):
            put(b"%d" % k, datum.pack(np.full((1, *size), k, np.uint8), k))
    net = net_of(
        f"layer {{ name: 'd' {DATA} }} layer {{ name: 'p' type: 'Power' bottom: 'data' top: 'y' "
        "power_param { scale: 2 } }",
        tmp_path,
    )
    for step in range(6):
        net.forward()
        k = 2 * step % 6
        assert net.blobs["y"].shape == (2, 1, *sizes[k])
        np.testing.assert_array_equal(net.blobs["y"].data[:, 0, 0, 0], [2 * k, 2 * k + 2])
    odd = rig(DATA.replace("batch_size: 2", "batch_size: 3"), tmp_path)
    with pytest.raises(DataError, match=r"db, '2': has another size than the first image"):
        odd.forward()


def test_encoded_rows_are_decoded_in_colour_grey_or_as_they_are(tmp_path):
    image = images(1, (4, 5, 3))[0]
    grey = image[..., :1]
    with records.create(str(tmp_path / "db")) as put:
        put(b"0", datum.pack_encoded(pictures.encode(grey, "png", where=""), 1))
        put(b"1", datum.pack_encoded(pictures.encode(image, "png", where=""), 2))
    text = DATA.replace("batch_size: 2", "batch_size: 1")
    net = net_of(f"layer {{ name: 'd' {text} }}", tmp_path)
    for wanted in (grey, image):
        net.forward()
        np.testing.assert_array_equal(net.blobs["data"].data[0], wanted.transpose(2, 0, 1))
    colour = rig(DATA + "transform_param { force_color: true }", tmp_path).forward()[0]
    np.testing.assert_array_equal(colour[0], np.repeat(grey.transpose(2, 0, 1), 3, 0))
    np.testing.assert_array_equal(colour[1], image.transpose(2, 0, 1))
    assert rig(DATA + "transform_param { force_gray: true }", tmp_path).shapes.tops[0][1] == 1


def test_data_refusals(db):
    def no(kind, old, new, match):
        refused(kind, DATA.replace(old, new), match, db)

    no(SpecError, "backend: LMDB", "", r"LevelDB.*\(Caffe's default\).*source is LMDB: write")
    no(SpecError, "'db' backend: LMDB", "'x' backend: LEVELDB", "Convert the images to LMDB")
    no(SpecError, "batch_size: 2", "", "has no batch_size; expected data_param")
    no(SpecError, "source: 'db'", "", "net.prototxt:1:1: .* has no source")
    no(DataError, "'db'", "'lost'", "lost: does not exist")
    no(SpecError, "batch_size: 2", "batch_size: 2 scale: 2", "Write transform_param { scale: 2.0 }")
    for transform, kind, match in (
        ("mean_file: 'a' mean_value: 1", SpecError, "both a mean_file and mean_value"),
        ("force_color: true force_gray: true", SpecError, "sets both force_color and force_gray"),
        ("mean_file: 'lost'", SpecError, "lost: there is no such file"),
        ("mean_value: 1 mean_value: 2", DataError, "expected 2 channels, found 3 x 4 x 5"),
        ("crop_size: 5", DataError, "smaller than crop_size; expected 5 pixels or more"),
    ):
        refused(kind, DATA + f"transform_param {{ {transform} }}", match, db)
    write_blob(str(db / "mean"), np.zeros((2, 3, 4, 5), np.float32))
    refused(DataError, DATA + "transform_param { mean_file: 'mean' }", "not the mean of images", db)
    write_blob(str(db / "mean"), np.zeros((3, 9, 9), np.float32))
    refused(DataError, DATA + "transform_param { mean_file: 'mean' }", "expected 3 x 9 x 9", db)


# ---- ImageData

LIST = "type: 'ImageData' top: 'data' top: 'label' image_data_param"


@pytest.fixture
def folder(tmp_path):
    """Six colour images of 6 x 8, labels 0 to 5, named in list.txt."""
    (tmp_path / "img").mkdir()
    for k, image in enumerate(images(6, (6, 8, 3))):
        (tmp_path / "img" / f"{k} a.png").write_bytes(pictures.encode(image, "png", where=""))
    (tmp_path / "list.txt").write_text("".join(f"{k} a.png {k}\n" for k in range(6)))
    return tmp_path


def listed(settings="", batch=2, transform=""):
    return (
        f"{LIST} {{ source: 'list.txt' root_folder: 'img/' batch_size: {batch} {settings} }} "
        f"transform_param {{ {transform} }}"
    )


def test_image_data_reads_colour_blue_first_and_grey(folder):
    one = rig(listed(), folder, dtype=np.float32)
    data, label = one.forward()
    assert one.shapes.tops == ((2, 3, 6, 8), (2,)) and label.tolist() == [0, 1]
    np.testing.assert_array_equal(data, np.stack(images(2, (6, 8, 3))).transpose(0, 3, 1, 2))
    assert labels(one, 3) == [2, 3, 4, 5, 0, 1]
    grey = rig(listed("is_color: false"), folder)
    assert grey.shapes.tops[0] == (2, 1, 6, 8)
    path = str(folder / "img" / "0 a.png")
    np.testing.assert_array_equal(
        grey.forward()[0][0, 0], pictures.read(path, colour=False)[..., 0]
    )


def test_image_data_is_resized(folder):
    one = rig(listed("new_height: 5 new_width: 3"), folder)
    path = str(folder / "img" / "0 a.png")
    wanted = pictures.read(path, size=(5, 3)).transpose(2, 0, 1)
    np.testing.assert_array_equal(one.forward()[0][0], wanted)
    assert not one.layer.reshapes and rig(listed(), folder).layer.reshapes


def test_image_data_shuffles_anew_in_every_epoch(folder):
    one = rig(listed("shuffle: true", batch=3), folder)
    epochs = [labels(one, 2) for _ in range(6)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 3
    assert [labels(r, 2) for r in [rig(listed("shuffle: true", batch=3), folder)]] == epochs[:1]
    assert labels(rig(listed("shuffle: true", batch=3), folder, seed=99), 4) != [
        *epochs[0],
        *epochs[1],
    ]


def test_image_data_skips_at_random_and_then_goes_round(folder):
    starts = set()
    for seed in range(30):
        found = labels(rig(listed("rand_skip: 4"), folder, seed=seed), 6)
        assert found == [(found[0] + k) % 6 for k in range(12)]
        starts.add(found[0])
    assert starts == {0, 1, 2, 3}


@pytest.mark.parametrize("more", ["shuffle: true", "rand_skip: 5 shuffle: true", ""])
def test_image_data_resumes_where_it_was(folder, more):
    text = listed(more, batch=4, transform="crop_size: 4 mirror: true")
    straight = [[x.copy() for x in r.forward()] for r in [rig(text, folder)] for _ in range(6)]
    second = rig(text, folder)
    second.forward()
    state = second.layer.state()
    third = rig(text, folder)
    third.layer.load_state(state)
    for want in straight[1:]:
        for got, array in zip(third.forward(), want, strict=True):
            np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("more", ["shuffle: true", "rand_skip: 5 shuffle: true", ""])
def test_processes_share_the_images_of_a_list_batch_by_batch(folder, more):
    text = listed(more, transform="crop_size: 4 mirror: true")
    alone = rig(text, folder)
    shares = [rig(text, folder, rank=rank, ranks=3) for rank in range(3)]
    together = [labels(share, 1) for _ in range(4) for share in shares]
    assert together == [labels(alone, 1) for _ in range(12)]
    first = [rig(listed("shuffle: true"), folder, rank=rank, ranks=2) for rank in range(2)]
    shapes = [share.layer.reshape([]).tops[0] for share in first]
    assert shapes == [(2, 3, 6, 8)] * 2


def test_image_data_of_changing_sizes_changes_the_net(folder):
    sizes = [(6, 8), (3, 9), (9, 2)]
    for k, size in enumerate(sizes):
        image = np.full((*size, 3), k + 1, np.uint8)
        (folder / "img" / f"{k} a.png").write_bytes(pictures.encode(image, "png", where=""))
    (folder / "list.txt").write_text("".join(f"{k} a.png {k}\n" for k in range(3)))
    net = net_of(f"layer {{ name: 'd' {listed(batch=1)} }}", folder)
    for step in range(7):
        net.forward()
        data = net.blobs["data"].data
        assert data.shape == (1, 3, *sizes[step % 3]) and (data == step % 3 + 1).all()


def test_image_data_refusals(folder):
    def no(kind, text, match):
        refused(kind, text, match, folder)

    no(SpecError, listed("new_height: 3"), "needs new_height and new_width together.*new_width 0")
    no(SpecError, listed("mirror: true"), "where Caffe ignores it. Write transform_param { mirror")
    no(DataError, listed("rand_skip: 2000000000"), "has too few images to skip some")
    no(DataError, listed(transform="crop_size: 7"), "0 a.png: is smaller than crop_size")
    no(DataError, listed().replace("list", "lost"), "lost.txt: does not exist")
    no(DataError, listed().replace("'img/'", "'img'"), "img0 a.png: does not exist, but the list")
    no(SpecError, listed(batch=0), "has no batch_size")
    (folder / "img" / "0 a.png").write_bytes(b"no picture")
    no(ImageError, listed(), "0 a.png: is not a picture")


# ---- WindowData

WINDOW = (
    "type: 'WindowData' top: 'data' top: 'label' window_data_param { source: 'windows.txt' "
    "batch_size: 8 root_folder: 'img/' fg_fraction: 0.3 crop_mode: 'warp' }"
)
CROP = "transform_param { crop_size: 5 }"


@pytest.fixture
def windows(tmp_path):
    """Two images of one colour each with two objects and a background window, one with none."""
    (tmp_path / "img").mkdir()
    text = ""
    for k in range(2):
        image = np.full((12, 10, 3), 50 * k + 50, np.uint8)
        (tmp_path / "img" / f"{k}.png").write_bytes(pictures.encode(image, "png", where=""))
        boxes = f"{2 * k + 1} 0.9 0 0 5 5\n{2 * k + 2} 0.5 2 3 9 11\n7 0.1 1 1 8 2\n"
        text += f"# {k}\n{k}.png\n3\n12\n10\n3\n{boxes}"
    (tmp_path / "windows.txt").write_text(text)
    return tmp_path


def test_window_data_samples_background_then_objects(windows):
    one = rig(WINDOW + CROP, windows)
    assert one.shapes.tops == ((8, 3, 5, 5), (8,))
    shown = set()
    for _ in range(25):
        data, label = one.forward()
        assert (label[:6] == 0).all() and (label[6:] > 0).all()  # int(8 * 0.3) = 2 objects
        for image, kind in zip(data[6:], label[6:], strict=True):
            assert (image == (50 if kind < 3 else 100)).all()
        shown |= set(label.tolist())
    assert shown == {0, 1, 2, 3, 4}


def test_window_data_resumes_where_it_was(windows):
    text = WINDOW + "transform_param { crop_size: 5 mirror: true }"
    straight = [[x.copy() for x in r.forward()] for r in [rig(text, windows)] for _ in range(4)]
    second = rig(text, windows)
    second.layer.load_state({"items": 16})
    for want in straight[2:]:
        for got, array in zip(second.forward(), want, strict=True):
            np.testing.assert_array_equal(got, array)
    assert second.layer.state() == {"items": 32}


@pytest.mark.parametrize("cached", ["true", "false"])
def test_window_data_pads_subtracts_and_scales(windows, cached):
    mean = np.arange(3 * 9 * 7, dtype=np.float32).reshape(3, 9, 7)
    write_blob(str(windows / "mean"), mean[None], legacy=True)
    text = WINDOW.replace("}", f"scale: 0.5 context_pad: 1 cache_images: {cached} }}", 1)
    one = rig(text + "transform_param { crop_size: 5 mean_file: 'mean' }", windows)
    data, _ = one.forward()
    # the background window (1..8, 1..2) with its surroundings reaches beyond the left edge
    column = data[0, :, 2, :]
    assert (column[:, 0] == 0).all()
    grey = data[0, 0, 2, 2] * 2 + mean[0, 1 + 2, 1 + 2]
    assert grey in (50, 100)
    np.testing.assert_allclose(column[:, 2], (grey - mean[:, 3, 3]) / 2)
    values = rig(
        WINDOW + "transform_param { crop_size: 5 mean_value: 5 mean_value: 6 mean_value: 7 }",
        windows,
    )
    assert (np.diff(values.forward()[0].mean(axis=(0, 2, 3))) == -1).all()
    if cached == "true":
        for k in range(2):
            (windows / "img" / f"{k}.png").unlink()
        for _ in range(3):
            assert one.forward()[0].shape == (8, 3, 5, 5)


def test_window_data_refusals(windows):
    def no(old, new, match, kind=SpecError, crop=CROP):
        refused(kind, WINDOW.replace(old, new) + crop, match, windows)

    no("", "", "needs a crop_size", crop="")
    no("'warp'", "'wrap'", "has an unknown crop_mode 'wrap'; expected warp or square")
    no("crop_mode", "context_pad: 3 crop_mode", "has no room for its context_pad")
    no("0.3", "1.5", "has an impossible fg_fraction")
    no("'img/'", "'im/'", "im/0.png: does not exist, but is named", DataError)
    no("windows.txt", "lost.txt", "lost.txt: does not exist", DataError)
    no("crop_mode", "mirror: true crop_mode", "Write transform_param { mirror: True }")
    for transform, kind, match in (
        ("scale: 2", SpecError, "expected the same in window_data_param"),
        ("mean_value: 1 mean_value: 2", SpecError, "too many or too few mean_value"),
        ("mean_file: 'mean'", DataError, "does not cover its windows; expected 3 x 5 x 5"),
    ):
        write_blob(str(windows / "mean"), np.zeros((1, 3, 4, 9), np.float32))
        no("", "", match, kind, f"transform_param {{ crop_size: 5 {transform} }}")


# ---- MemoryData

MEMORY = (
    "type: 'MemoryData' top: 'data' top: 'label' "
    "memory_data_param { batch_size: 2 channels: 1 height: 2 width: 3 }"
)


def test_memory_data_shows_what_it_was_given_and_goes_round(tmp_path):
    one = rig(MEMORY, tmp_path, dtype=np.float32)
    assert one.shapes.tops == ((2, 1, 2, 3), (2, 1, 1, 1))
    data = np.arange(4 * 6, dtype=np.float32).reshape(4, 1, 2, 3)
    one.layer.reset(data, np.arange(4.0))
    for step in range(5):
        half = slice(2 * (step % 2), 2 * (step % 2) + 2)
        shown, label = one.forward()
        np.testing.assert_array_equal(shown, data[half])
        assert label.ravel().tolist() == [half.start, half.start + 1]
    data[...] = -1  # it is the caller's array, not a copy
    assert (one.forward()[0] == -1).all()
    one.layer.reset(data[:2], np.zeros((2, 1, 1, 1)))
    state = one.layer.state()
    assert state == {"position": 0, "added": 0}


def test_memory_data_transforms_what_is_added(tmp_path):
    text = MEMORY.replace("height: 2 width: 3", "height: 2 width: 2")
    text += "transform_param { crop_size: 2 scale: 2 mean_value: 1 mirror: true }"
    one = rig(text, tmp_path)
    given = images(4, (1, 5, 6))
    one.layer.add(given, [1, 2, 3, 4])
    with pytest.raises(DataError, match="has not yet shown all that was added before"):
        one.layer.add(given, [1, 2, 3, 4])
    shown = [x.copy() for _ in range(2) for x in one.forward()[0]]
    for got, image in zip(shown, given, strict=True):
        parts = [image[:, y : y + 2, x : x + 2] for y in range(4) for x in range(5)]
        parts += [part[..., ::-1] for part in parts]
        assert any(np.array_equal(got, (part - 1.0) * 2) for part in parts)
    one.layer.add(given, [1, 2, 3, 4])
    again = rig(text, tmp_path)
    again.layer.load_state({"position": 0, "added": 4})
    again.layer.add(given, [1, 2, 3, 4])
    one.layer.reset(np.zeros((2, 1, 2, 2)), [0, 0])  # drops what waits
    one.layer.add(given, [1, 2, 3, 4])
    assert one.layer.state() == {"position": 0, "added": 12}
    assert again.layer.state() == {"position": 0, "added": 8}


def test_memory_data_resumes_in_the_callers_data(tmp_path):
    data = np.arange(6 * 6.0).reshape(6, 1, 2, 3)
    one = rig(MEMORY, tmp_path)
    one.layer.reset(data, np.arange(6))
    one.forward()
    again = rig(MEMORY, tmp_path)
    again.layer.reset(data, np.arange(6))
    again.layer.load_state(one.layer.state())
    assert again.forward()[1].ravel().tolist() == [2, 3]
    again.layer.reset(data[:2], np.arange(2))
    with pytest.raises(DataError, match="had more data when the snapshot was written"):
        again.layer.load_state({"position": 4, "added": 0})


def test_memory_data_takes_another_batch_size_with_a_reshape(tmp_path):
    net = net_of(f"layer {{ name: 'm' {MEMORY} }}", tmp_path)
    net.layers[0].batch_size = 3
    net.reshape({})
    net.layers[0].reset(np.ones((3, 1, 2, 3)), np.arange(3))
    net.forward()
    assert net.blobs["data"].shape == (3, 1, 2, 3)
    assert net.blobs["label"].data.ravel().tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="needs a batch_size of 1 or more"):
        net.layers[0].batch_size = 0


def test_memory_data_refusals(tmp_path):
    refused(SpecError, MEMORY.replace("width: 3", ""), "how large its data are.*2x1x2x0", tmp_path)
    one = rig(MEMORY, tmp_path)
    with pytest.raises(DataError, match=r"has no data yet\. .*layer.reset\(data, labels\)"):
        one.forward()
    for data, label, match in (
        (np.zeros((2, 1, 3, 3)), [0, 0], "expected n x 1x2x3, found 2x1x3x3"),
        (np.zeros((3, 1, 2, 3)), [0] * 3, "takes whole batches; expected a multiple of 2 images"),
        (np.zeros((0, 1, 2, 3)), [], "takes whole batches"),
        (np.zeros((2, 1, 2, 3)), [0], "needs one label for each image"),
        (np.zeros((2, 1, 2, 3)), np.zeros((2, 2)), "expected shape 2 or 2x1x1x1, found shape 2x2"),
    ):
        with pytest.raises(DataError, match=match):
            one.layer.reset(data, label)
    with pytest.raises(DataError, match="image 1 given: has another size than the first image"):
        one.layer.add([np.zeros((1, 2, 3)), np.zeros((1, 4, 3))], [0, 0])
