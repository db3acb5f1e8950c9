"""caffe_unet's command line, for the Fiji plugin: `caffe_unet tiled_predict ...`.

    check_model_and_weights_h5    exit code 0 where the weights fit the model
    tiled_predict                 the scores of all images in an HDF5 file
    device_query                  what computes here

What it says and writes is what the plugin reads (docs: tools/fiji.py).
Source: tools/caffe_unet.cpp of caffe_unet; the plugin's SegmentationJob.java.
"""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("caffe_unet")

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import h5, weights
from ..errors import DataError, DemitasseError, WeightsError, did_you_mean
from ..files import check_writable
from ..imaging import caffe_tiles, tiles
from ..imaging.caffe_tiles import Layout, Pads
from . import _device, _options
from ._glog import Glog

EPILOG = """\
commands:
  check_model_and_weights_h5   do these weights fit this model?    -model -weights [-n_channels]
  tiled_predict                segment the images of an HDF5 file  -infileH5 -outfileH5 -model
                               -weights and one of -n_tiles, -tile_size, -mem_available_px,
                               -gpu_mem_available_MB
  device_query                 say what computes here

examples:
  caffe_unet check_model_and_weights_h5 -model 2d_cell_net_v0.modeldef.h5 -weights w.caffemodel.h5
  caffe_unet tiled_predict -infileH5 a.h5 -outfileH5 a.h5 -model m.modeldef.h5 -weights w.h5
        -iterations 0 -n_tiles 2x3 -average_mirror
        a.h5 then holds the scores (images, classes, [z,] y, x) of every output blob, and no more

Tiles lie as those of caffe_unet, which shifts the net's pooling grid from tile to tile; with
-aligned the scores are those of the whole image, for any tiling.
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="caffe_unet",
        usage="caffe_unet COMMAND [flags]",
        description="The engine of the Fiji plugin U-Net Segmentation.",
        epilog=EPILOG,
    )
    p.add_argument("command", nargs="?", metavar="COMMAND", help="one of " + ", ".join(COMMANDS))

    def flag(name: str, **settings: Any) -> None:
        p.add_argument(f"-{name}", f"--{name}", **settings)

    flag("model", default="", metavar="FILE", help="a .modeldef.h5")
    flag("weights", default="", metavar="FILE", help="a .caffemodel.h5 or .caffemodel")
    flag("n_channels", type=_options.positive_int, default=1, metavar="C", help="of the images")
    flag("infileH5", default="", metavar="FILE", help="what to segment")
    flag("outfileH5", default="", metavar="FILE", help="where the scores go; may be the same")
    flag("iterations", type=whole, default=50, metavar="N", help="images (default 50; 0: all)")
    tiling = p.add_mutually_exclusive_group()
    for name, kind, metavar, said in (
        ("n_tiles", sizes, "N|[NzxN]yxNx", "tiles in all (2-D), or along each axis"),
        ("tile_size", sizes, "[ZxY]xX", "pixels that a tile answers for"),
        ("mem_available_px", _options.positive_int, "P", "pixels that a tile may read (2-D)"),
        ("gpu_mem_available_MB", _options.positive_int, "MB", "the same by the model's memory map"),
    ):
        tiling.add_argument(f"-{name}", f"--{name}", type=kind, metavar=metavar, help=said)
    average = p.add_mutually_exclusive_group()
    for name, said in (("mirror", "four mirror images"), ("rotate", "four quarter turns")):
        average.add_argument(
            f"-average_{name}",
            f"--average_{name}",
            action="store_true",
            help=f"the mean of what the net says of {said}",
        )
    flag("aligned", action="store_true", help="tiles that do not shift the pooling grid")
    _options.add_gpu(p)
    _options.add_engine(p)
    return p


def whole(text: str) -> int:
    return 0 if text == "0" else _options.positive_int(text)


def sizes(text: str) -> tuple[int, ...]:
    """ "5" or "2x3" or "1x2x3"."""
    parts = text.split("x")
    if len(parts) > 3:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 2x3 or 1x2x3")
    return tuple(_options.positive_int(part) for part in parts)


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    if args.command is None:  # the plugin looks whether this works
        parser().print_help()
        return 0
    if args.command not in COMMANDS:
        raise DemitasseError(
            f"there is no command '{args.command}'",
            expected="one of " + ", ".join(COMMANDS),
            remedy=did_you_mean(args.command, COMMANDS),
        )
    log = Glog(sys.stderr)
    _device.first_of_all(args, log.own)
    _device.choose(args.gpu, args.precision)
    COMMANDS[args.command](args, log)
    return 0


def needs(args: Any, *flags: str) -> None:
    for name in flags:
        if not getattr(args, name):
            raise DemitasseError(f"`caffe_unet {args.command}` needs -{name}")


def pads_of(modeldef: weights.ModelDef) -> Pads:
    return Pads(modeldef.downsample_factor, modeldef.pad_input, modeldef.pad_output)


# ---------------------------------------------------------------------- check


def check(args: Any, log: Glog) -> None:
    """Build the net at its smallest size, load the weights and run it once."""
    from ..imaging.modeldef import build, read_weights

    needs(args, "model", "weights")
    modeldef = weights.read_modeldef(args.model)
    found = read_weights(args.weights)
    check_ident(modeldef, args.weights)
    pads = pads_of(modeldef)
    net = build(modeldef, found, (args.n_channels, *pads.least), **_options.net_options(args))
    check_outputs(net, modeldef, pads.tile((1,) * modeldef.axes))
    net.forward()
    log.own(f"{args.weights} fits {args.model}: {modeldef.name}, {modeldef.axes}-D")
    for note in modeldef.notes:
        log.own(note)


def check_ident(modeldef: weights.ModelDef, path: str) -> None:
    """Refuse weights that say they belong to another model; most say nothing."""
    try:
        with h5.open_h5(path, error=WeightsError) as file:
            if ".unet-ident" not in h5.members(file, error=WeightsError):
                return
            ident = h5.read_text(file, ".unet-ident", error=WeightsError)
    except WeightsError:  # a binary .caffemodel; what is wrong with an HDF5 file was said before
        return
    if ident != modeldef.ident:
        raise WeightsError(
            "belongs to another model", where=path, expected=modeldef.ident, found=ident
        )


def check_outputs(net: Any, modeldef: weights.ModelDef, tile: caffe_tiles.Tile) -> None:
    """Refuse pads that are not those of the net."""
    for name in net.outputs:
        shape = net.blobs[name].shape
        if shape[2:] != tile.outputs:
            raise WeightsError(
                f"its padInput, padOutput and downsampleFactor are not those of its net: a tile of"
                f" {'x'.join(map(str, tile.inputs))} pixels gives '{name}'"
                f" {'x'.join(map(str, shape))}",
                where=modeldef.path,
                expected=f"{'x'.join(map(str, tile.outputs))} pixels",
                remedy=_options.spoken("tools/modeldef.py computes them from the net"),
            )


# ---------------------------------------------------------------------- predict


def predict(args: Any, log: Glog) -> None:
    """Write the mean scores over all versions of every image; the file appears whole or not."""
    from ..imaging.modeldef import build, read_weights

    needs(args, "infileH5", "outfileH5", "model", "weights")
    modeldef = weights.read_modeldef(args.model)
    check_writable(args.outfileH5)
    images, size = read_images(args, modeldef)
    found = read_weights(args.weights)
    kind = "mirror" if args.average_mirror else "rotate" if args.average_rotate else "none"
    turns = range(1 if kind == "none" else 4)
    first = layout(images.shape[2:], args, modeldef)
    wanted = (images.shape[1], *first.tile.inputs)
    net = build(modeldef, found, wanted, **_options.net_options(args))
    check_outputs(net, modeldef, first.tile)
    total: dict[str, np.ndarray] = {}
    for turn in turns:
        versions = turned(images, turn, kind)
        laid = layout(versions.shape[2:], args, modeldef)
        log.own(f"tiles of {laid.tile.inputs} pixels answer for {laid.tile.outputs}")
        scores = each(net, versions, laid, modeldef, (turn * len(images), len(turns) * len(images)))
        for name, score in scores.items():
            back = turned(score, -turn, kind)
            total[name] = total[name] + back if name in total else back
    with h5.create_h5(args.outfileH5) as file:
        for name, score in total.items():
            file[name] = score / np.float32(len(turns)) if len(turns) > 1 else score
            if size is not None:
                file[name].attrs["element_size_um"] = size


def read_images(args: Any, modeldef: weights.ModelDef) -> tuple[np.ndarray, Any]:
    """The images (n, channels, *spatial), float32, and their element size."""
    name = modeldef.input_dataset_name
    with h5.open_h5(args.infileH5) as file:
        found = h5.dataset(file, name)
        where = f"{args.infileH5}, '{name}'"
        if found.ndim != modeldef.axes + 2 or 0 in found.shape:
            raise DataError(
                f"the model '{modeldef.name}' wants {modeldef.axes}-D images",
                where=where,
                expected="shape (t, c, z, y, x)" if modeldef.axes == 3 else "shape (t, c, y, x)",
                found=found.shape,
            )
        images = h5.read_dataset(file, name, dtype=np.float32)
        size = found.attrs.get("element_size_um")
    images = images[: args.iterations or None]
    if not np.isfinite(images).all():
        raise DataError("holds values that are not finite", where=where)
    return images, size


def layout(shape: Sequence[int], args: Any, modeldef: weights.ModelDef) -> Layout:
    """The tiles that the flags ask for."""
    pads, aligned = pads_of(modeldef), args.aligned
    for flag in ("n_tiles", "tile_size"):
        given = getattr(args, flag)
        if given and len(given) not in (len(shape), 1 if flag == "n_tiles" else 0):
            raise DemitasseError(
                f"-{flag} {'x'.join(map(str, given))} does not fit a {len(shape)}-D model",
                expected=f"{len(shape)} numbers",
            )
    if args.tile_size:
        return caffe_tiles.by_size(shape, args.tile_size, pads, aligned=aligned)
    if args.n_tiles and len(args.n_tiles) == 1:
        return caffe_tiles.by_number(shape, args.n_tiles[0], pads, aligned=aligned)
    if args.n_tiles:
        return caffe_tiles.by_grid(shape, args.n_tiles, pads, aligned=aligned)
    if args.gpu_mem_available_MB:
        pixels = modeldef.pixels_for(args.gpu_mem_available_MB)
    elif args.mem_available_px:
        pixels = args.mem_available_px
    else:
        raise DemitasseError(
            "the tiles have to be chosen",
            expected="one of -n_tiles, -tile_size, -mem_available_px and -gpu_mem_available_MB",
        )
    return caffe_tiles.by_pixels(shape, pixels, pads, aligned=aligned)


def turned(images: np.ndarray, turn: int, kind: str) -> np.ndarray:
    """Version `turn` of the images (.., y, x), -turn to undo it: flipped in x (bit 0) and y (bit
    1), or turned clockwise by so many right angles."""
    if kind == "mirror":
        flips = tuple(axis for bit, axis in ((1, -1), (2, -2)) if abs(turn) & bit)
        return np.flip(images, flips)
    return np.rot90(images, -turn, axes=(-2, -1))


def each(
    net: Any, images: np.ndarray, laid: Layout, modeldef: weights.ModelDef, place: tuple[int, int]
) -> dict[str, np.ndarray]:
    """The scores of every output blob.  place: how many images came before, and come in all."""
    wanted = (1, images.shape[1], *laid.tile.inputs)
    blob = net.blobs[modeldef.input_blob_name]
    if blob.shape != wanted:
        net.reshape({modeldef.input_blob_name: wanted})
    border, spatial = pads_of(modeldef).border, images.shape[2:]
    scores = {
        name: np.empty((len(images), net.blobs[name].shape[1], *spatial), np.float32)
        for name in net.outputs
    }
    for n, image in enumerate(images):
        for i, origin in enumerate(laid.origins(), 1):
            done, batches = place
            print(f"Processing batch {done + n + 1}/{batches}, tile {i}/{laid.number}", flush=True)
            start = [o - b for o, b in zip(origin, border, strict=True)]
            tile = tiles.cut(image, start, laid.tile.inputs, modeldef.padding)
            net.blobs[modeldef.input_blob_name].data[0] = tile
            net.forward()
            ends = [min(o + a, s) for o, a, s in zip(origin, laid.apart, spatial, strict=True)]
            write = tuple(slice(o, e) for o, e in zip(origin, ends, strict=True))
            crop = tuple(slice(0, s.stop - s.start) for s in write)
            for name, score in scores.items():
                found = net.read(name, reuse=True)[0]
                score[n][(slice(None), *write)] = found[(slice(None), *crop)]
    for name, score in scores.items():
        if not np.isfinite(score).all():
            raise WeightsError(
                f"the scores '{name}' are not finite",
                where=modeldef.path,
                remedy="The training may have diverged: take an earlier snapshot",
            )
    return scores


def device_query(args: Any, log: Glog) -> None:
    from .caffe import device_query as query

    query(args, log)


COMMANDS: dict[str, Callable[[Any, Glog], None]] = {
    "check_model_and_weights_h5": check,
    "tiled_predict": predict,
    "device_query": device_query,
}
