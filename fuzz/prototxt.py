"""Prototxt -> message -> graph -> layers -> memory plan; and printed, and read again."""

import numpy as np
from _files import ROOT
from demitasse import netspec
from demitasse.errors import DemitasseError
from demitasse.layers.base import Context
from demitasse.layers.registry import MODULES
from demitasse.net.inference import build_layers
from demitasse.net.planning import plan_net

INPUT = (
    'layer { name: "i" type: "Input" top: "x" '
    "input_param { shape { dim: 1 dim: 2 dim: 8 dim: 8 } } }\n"
)
LABELS = INPUT.replace('"i"', '"j"').replace('"x"', '"y"').replace("dim: 2", "dim: 1")
SIGNS = ("{", "}", "[", "]", ":", '"', "-1", "0", "1", "2147483647", "4294967295", "1e38", "nan")


def seeds():
    texts = [path.read_text() for path in (ROOT / "models").glob("*.prototxt")]
    for kind in MODULES:
        texts.append(
            f'{INPUT}{LABELS}layer {{ name: "l" type: "{kind}" bottom: "x" bottom: "y" top: "t" '
            f"{_settings(kind)} }}"
        )
        texts.append(
            f'{INPUT}layer {{ name: "l" type: "{kind}" bottom: "x" top: "t" {_settings(kind)} }}'
        )
    return [text.encode() for text in texts]


def words():
    found = {*MODULES, *SIGNS}
    for name in ("NetParameter", "SolverParameter", "LayerParameter", "V1LayerParameter"):
        for field in netspec.schema.message(name).DESCRIPTOR.fields:
            found.add(field.name)
            for inner in field.message_type.fields if field.message_type else ():
                found.add(inner.name)
                found.update(v.name for v in (inner.enum_type.values if inner.enum_type else ()))
    return [word.encode() for word in sorted(found)]


def check(data):
    text = data.decode("utf-8", "surrogateescape")
    try:
        netspec.parse_solver(text)
    except DemitasseError as error:
        str(error)
    try:
        source = netspec.parse_net(text)
    except DemitasseError as error:
        str(error)
        return
    again = netspec.parse_net(netspec.to_text(source.message))
    assert again.message.SerializeToString(deterministic=True) == source.message.SerializeToString(
        deterministic=True
    )
    for phase in ("TRAIN", "TEST"):
        try:
            graph = netspec.build(source, phase)
            layers = build_layers(graph, Context(dtype=np.dtype(np.float32)))
            plan_net(graph, layers, None, dtype=np.dtype(np.float32), backward=phase == "TRAIN")
        except DemitasseError as error:
            str(error)
    try:
        netspec.deploy(source)
    except DemitasseError as error:
        str(error)


def _settings(kind):
    """The layer's own message, with a number for each of its whole-number fields."""
    from demitasse.netspec import schema

    wanted = f"{kind}Param".replace("Parameter", "").lower()
    fields = schema.message("LayerParameter").DESCRIPTOR.fields
    field = next((f for f in fields if f.name.replace("_", "") == wanted), None)
    if field is None:
        return ""
    inner = [f for f in field.message_type.fields if f.cpp_type in (1, 3) and not f.enum_type]
    return f"{field.name} {{ {' '.join(f'{f.name}: 1' for f in inner)} }}"
