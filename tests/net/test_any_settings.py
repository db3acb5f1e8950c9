"""A layer of any type, with any settings on any bottoms, runs or is refused in words.

Settings are drawn field by field from the message's own description, most often extreme ones.
"""

import random

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import DemitasseError
from demitasse.layers.base import Context
from demitasse.layers.registry import MODULES
from demitasse.net import Net
from demitasse.net.inference import build_layers
from demitasse.net.planning import plan_net
from demitasse.netspec import schema

TRIES = 8  # of each type and seed
MOST = 4 << 20  # bytes of a net that is run
WHOLE = (0, 1, 2, 3, 4, 7, 8, 16, -1, -2, 1 << 20, (1 << 31) - 1, -(1 << 31))
REAL = ("0", "1", "-1", "0.5", "2", "1e38", "1e-40", "nan", "inf")


def settings(message, draw, share, depth=0):
    """Fields of a message, each with a chance of `share`."""
    found = []
    for field in message.fields:
        many = draw.choice((1, 1, 2, 3)) if schema.is_repeated(field) else 1
        for _ in range(many if draw.random() < share and depth < 3 else 0):
            if field.message_type:
                inner = settings(field.message_type, draw, share, depth + 1)
                found.append(f"{field.name} {{ {inner} }}")
            else:
                found.append(f"{field.name}: {value(field, draw)}")
    return " ".join(found)


def value(field, draw):
    if field.enum_type:
        return draw.choice(list(field.enum_type.values)).name
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return draw.choice(REAL)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return draw.choice(("true", "false"))
    if field.cpp_type == field.CPPTYPE_STRING:
        return draw.choice(('""', '"x"', '"constant"', '"a.b"'))
    whole = draw.choice(WHOLE)
    return abs(whole) if field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64) else whole


def net_with(kind, draw):
    """A net of a few inputs and one layer."""
    names = "abcd"[: draw.choice((0, 1, 1, 2, 2, 3, 4))]
    text = ""
    for name in names:
        axes = draw.choice((0, 1, 2, 4, 4, 4, 5))
        dims = " ".join(f"dim: {draw.choice((1, 1, 2, 3, 4, 8, 9))}" for _ in range(axes))
        text += f'layer {{ name: "{name}" type: "Input" top: "{name}" '
        text += f"input_param {{ shape {{ {dims} }} }} }}\n"
    bottoms = " ".join(f'bottom: "{name}"' for name in names)
    tops = " ".join(f'top: "t{k}"' for k in range(draw.choice((0, 1, 1, 1, 2, 3))))
    text += f'layer {{ name: "l" type: "{kind}" {bottoms} {tops} '
    for field in schema.message("LayerParameter").DESCRIPTOR.fields:
        own = field.name.replace("_", "") == f"{kind}Param".lower()
        shared = field.name in ("loss_param", "transform_param") and draw.random() < 0.2
        if own or shared:
            inner = settings(field.message_type, draw, draw.choice((0.1, 0.3, 0.6)))
            text += f"{field.name} {{ {inner} }} "
    return text + "}"


def run(text, phase):
    """Plan the net, and where it is small run it."""
    graph, dtype = netspec.build(netspec.parse_net(text), phase), np.dtype(np.float32)
    layers = build_layers(graph, Context(dtype=dtype))
    if plan_net(graph, layers, None, dtype=dtype, backward=phase == "TRAIN").arena_bytes > MOST:
        return
    net = Net(graph, seed=1, threads=1, memory=16 * MOST, poison=True)
    for name in net.inputs:
        net.blobs[name].data[...] = 1
    net.forward()
    if phase == "TRAIN":
        net.backward()


@pytest.mark.parametrize("seed", range(4))
def test_it_runs_or_is_refused_in_words(seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw, ran = random.Random(seed), 0
    for kind in [kind for kind in MODULES for _ in range(TRIES)]:
        text = net_with(kind, draw)
        for phase in ("TRAIN", "TEST"):
            try:
                run(text, phase)
                ran += 1
            except DemitasseError as error:
                assert str(error)
            except Exception as error:
                raise AssertionError(f"{type(error).__name__}: {error}\n{text}") from error
    assert ran > 30
