"""TIFF and PNG files: tags, axes, pixel sizes, pages."""

import io
import logging
import warnings

import numpy as np
import PIL.Image
import tifffile
from _files import as_file
from demitasse.errors import DemitasseError
from demitasse.imaging import tiff

MOST = 16 << 20  # bytes of a page

logging.getLogger("tifffile").handlers.clear()
logging.getLogger("tifffile").propagate = False
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def seeds():
    image = np.arange(2 * 9 * 10, dtype=np.uint16).reshape(2, 9, 10)
    hyper = np.zeros((2, 3, 2, 4, 5), np.uint8)
    um = {"axes": "TZCYX", "unit": "um", "spacing": 2.0}
    ome = {"axes": "TCZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 1.0}
    here, there = (
        f'<TiffData IFD="{k}" FirstZ="{k}"><UUID FileName="{u}.tif">{u}</UUID></TiffData>'
        for k, u in enumerate("uv")
    )
    spread = (
        '<OME UUID="u"><Image><Pixels DimensionOrder="XYZCT" SizeX="10" SizeY="9" SizeZ="2" '
        f'SizeC="1" SizeT="1">{here}{there}</Pixels></Image></OME>'
    )
    return [
        _saved(image[0], photometric="minisblack", description=spread, metadata=None),
        _saved(image, photometric="minisblack"),
        _saved(image, photometric="minisblack", compression="zlib", tile=(16, 16)),
        _saved(image, photometric="minisblack", compression="lzw", predictor=True),
        _saved(image, photometric="minisblack", byteorder=">", bigtiff=True),
        _saved(image > 9, photometric="minisblack"),
        _saved(image.astype(np.float32), imagej=True, metadata={"axes": "ZYX"}),
        _saved(hyper, imagej=True, metadata=um, resolution=(10, 5)),
        _saved(hyper.transpose(0, 2, 1, 3, 4), ome=True, metadata=ome),
        _saved(np.zeros((9, 10, 3), np.uint8), photometric="rgb"),
        _saved(np.zeros((3, 9, 10), np.uint8), photometric="rgb", planarconfig="separate"),
        _png("L"),
        _png("RGBA"),
        _png("P"),
    ]


def words():
    numbers = (256, 257, 258, 259, 262, 270, 273, 277, 278, 279, 282, 283, 284, 296, 339)
    tags = [number.to_bytes(2, "little") for number in numbers]
    starts = [b"II*\0", b"MM\0*", b"ImageJ=", b"images=3", b"unit=um", b"spacing="]
    return [*tags, *starts, b"<OME", b"UUID"]


def check(data):
    path = as_file(data, "some.tif")
    for axes in (None, "YX", "ZYX", "TZCYX"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = tiff.read(path, axes=axes, max_bytes=MOST)
                image.summary()
                for page in range(min(len(image), 3)):
                    assert image.page(page).shape == image.shape[1:]
        except DemitasseError as error:
            str(error)


def _saved(array, **settings):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **settings)
    return file.getvalue()


def _png(mode):
    file = io.BytesIO()
    PIL.Image.new(mode, (5, 4)).save(file, "png")
    return file.getvalue()
