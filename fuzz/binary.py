"""Binary messages: nets, parameters, solver states, arrays, images of a database."""

from _files import as_file, golden
from demitasse import netspec, weights
from demitasse.data.blobproto import read_blob
from demitasse.data.datum import pack, unpack
from demitasse.errors import DemitasseError


def seeds():
    import numpy as np

    image = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    found = golden("**/*.caffemodel") + golden("**/*.solverstate") + golden("**/*.binaryproto")
    return [*found, pack(image, 3)]


def words():
    return [b"\x08\x96\x01", b"\x12\x00", b"\xff" * 9 + b"\x01", b"Convolution", b"data"]


def check(data):
    path = as_file(data, "some.caffemodel")
    for read in (
        lambda: netspec.read_net_binary(data),
        lambda: weights.read(path),
        lambda: weights.read_state(path),
        lambda: read_blob(path),
        lambda: unpack(data, colour=None, where="some"),
    ):
        try:
            read()
        except DemitasseError as error:
            str(error)
