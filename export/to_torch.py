"""A net as PyTorch code that reads as if written by hand, and its parameters beside it.

    unet.py             an nn.Module that needs torch alone, and `load()`, which reads
    unet.safetensors    its state dict

What works element by element is said in the line of the layer before it; a blank line stands before
every change of size.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import numpy as np

from ..net import Net
from .pieces import Piece, take_apart
from .to_onnx import measured
from .torch_layers import SAY, batch_norm, merges
from .torch_writer import HELPERS, Names, TorchWriter, bare

WIDTH = 100
_INLINE = frozenset(
    {"AbsVal", "BNLL", "BatchNorm", "Dropout", "ELU", "PReLU", "ReLU", "Scale", "Sigmoid"}
    | {"Softmax", "TanH"}
)
_BREAKS = frozenset({"Deconvolution", "Pooling"})


def to_torch(net: Net, stem: str, about: Sequence[str] = ()) -> tuple[str, dict[str, np.ndarray]]:
    """The text of `stem`.py and the state dict of its module.

    about: paragraphs for its docstring.  Raises GraphError naming the first layer that cannot be
    said.
    """
    pieces = take_apart(net, dropout=True)
    writer = TorchWriter(fits=measured(net) is not None)
    names = Names()
    said: dict[str, str] = {name: names.of(name) for name, _ in pieces.inputs}
    arguments = list(said.values())
    owners = _owners(net)
    lines: list[str] = []
    skipped: set[str] = set()
    breaks = False
    results = {name for _, name, _ in pieces.outputs}
    for piece in pieces.pieces:
        if piece.name in skipped:
            continue
        if piece.type not in SAY:
            raise (
                piece.refuse(
                    "there is no line of code for it",
                    "PyTorch",
                    f"Exported are {', '.join(sorted(SAY))}, Slice and Split",
                )
                if piece.type != "Slice"
                else piece.refuse("not with several tops", "PyTorch")
            )
        bottoms = [said[name] for name in piece.bottoms]
        follower = _only_reader(piece, pieces.readers(piece.tops[0]), results)
        if piece.type == "BatchNorm":
            scale = follower if follower is not None and merges(piece, follower) else None
            value = batch_norm(writer, piece, bottoms, scale)
            if scale is not None:
                skipped.add(scale.name)
                top = scale.tops[0]
                follower = _only_reader(scale, pieces.readers(top), results)
            else:
                top = piece.tops[0]
        else:
            value, top = _say(writer, piece, bottoms, owners), piece.tops[0]
        breaks = breaks or piece.type in _BREAKS
        if follower is not None and follower.type in _INLINE:
            said[top] = value
            continue
        if breaks and lines:
            lines.append("")
        breaks = False
        variable = names.of(top.partition(".")[0] if top not in said else top)
        said[top] = variable
        lines.append(f"{variable} = {bare(value)}")
    returned = ", ".join(said[name] for _, name, _ in pieces.outputs)
    if lines and lines[-1].startswith(f"{returned} = "):
        returned = lines.pop().partition(" = ")[2]
    return _text(net, stem, about, writer, arguments, lines, returned), writer.tensors


def _only_reader(piece: Piece, readers: list[Piece], results: set[str]) -> Piece | None:
    single = len(readers) == 1 and readers[0].bottoms.count(piece.tops[0]) == 1
    return readers[0] if single and piece.tops[0] not in results else None


def _owners(net: Net) -> dict[str, set[str]]:
    """Of layers that use the parameters of others: whose."""
    found: dict[str, set[str]] = {}
    for i, param in enumerate(net.param_table):
        if param.owner != i:
            found.setdefault(param.layer, set()).add(net.param_table[param.owner].layer)
    return found


def _say(t: TorchWriter, piece: Piece, bottoms: list[str], owners: dict[str, set[str]]) -> str:
    value = SAY[piece.type](t, piece, bottoms)
    if piece.name in owners:
        if len(owners[piece.name]) > 1 or not value.startswith("self."):
            raise piece.refuse("it shares parameters with several layers", "PyTorch")
        (owner,) = owners[piece.name]
        mine = value.partition("(")[0]
        t.made[-1] = f"{mine} = {t.module_of(owner)}  # the same parameters"
    return value


def class_name(name: str) -> str:
    """ "U-Net" -> "UNet"."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name) if word]
    joined = "".join(word[0].upper() + word[1:] for word in words) or "Net"
    return f"Net{joined}" if joined[0].isdigit() else joined


def _text(
    net: Net,
    stem: str,
    about: Sequence[str],
    writer: TorchWriter,
    arguments: Sequence[str],
    lines: Sequence[str],
    returned: str,
) -> str:
    name = class_name(net.name)
    paragraphs = "".join("\n" + textwrap.fill(p, WIDTH) + "\n" for p in about)
    result = "torch.Tensor" if len(net.outputs) == 1 else "tuple[torch.Tensor, ...]"
    given = ", ".join(f"{a}: torch.Tensor" for a in arguments)
    helpers = "".join(f"\n\n{HELPERS[h]}" for h in writer.helpers)
    made = "".join(f"        {line}\n" for line in writer.made) or "        pass\n"
    body = "".join(f"        {line}".rstrip() + "\n" for line in lines)
    return (
        f'"""{net.name or "A net"} in PyTorch; {stem}.safetensors holds its parameters.\n'
        f"{paragraphs}"
        '"""\n\n'
        "import torch\nfrom safetensors.torch import load_file\nfrom torch import nn\n"
        "from torch.nn import functional as F\n"
        f"{helpers}\n\n"
        f"class {name}(nn.Module):\n"
        "    def __init__(self) -> None:\n"
        "        super().__init__()\n"
        f"{made}\n"
        f"    def forward(self, {given}) -> {result}:\n"
        f"{body}"
        f"        return {returned}\n\n\n"
        f'def load(path: str = "{stem}.safetensors") -> {name}:\n'
        '    """The net with its trained parameters, ready to predict."""\n'
        f"    net = {name}()\n"
        "    net.load_state_dict(load_file(path))\n"
        "    return net.eval()\n"
    )
