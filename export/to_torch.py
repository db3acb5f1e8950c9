"""A net as PyTorch code that reads as if written by hand, and its parameters beside it.

    unet.py             an nn.Module that needs torch alone, and `load()`, which reads
    unet.safetensors    its state dict

What works element by element is said in the line of the layer before it; a blank line stands before
every change of size.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence

import numpy as np

from ..net import Net
from ..net.params import Param
from .pieces import Piece, take_apart
from .to_onnx import measured
from .torch_layers import SAY, batch_norm, merges
from .torch_writer import HELPERS, Names, TorchWriter, bare

WIDTH = 100
_INLINE = frozenset(
    {"AbsVal", "BNLL", "BatchNorm", "Dropout", "ELU", "PReLU", "ReLU", "Scale", "Sigmoid"}
    | {"Softmax", "TanH"}
)
PARTS = ("weight", "bias")  # of a module, in the order of a layer's parameters
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


def _owners(net: Net) -> dict[str, dict[int, Param]]:
    """Of layers that use parameters of others: which of theirs is whose."""
    found: dict[str, dict[int, Param]] = {}
    for i, param in enumerate(net.param_table):
        if param.owner != i:
            found.setdefault(param.layer, {})[param.index] = net.param_table[param.owner]
    return found


def _say(
    t: TorchWriter, piece: Piece, bottoms: list[str], owners: dict[str, dict[int, Param]]
) -> str:
    value = SAY[piece.type](t, piece, bottoms)
    if piece.name in owners:
        _share(t, piece, value.partition("(")[0], owners[piece.name])
    return value


def _share(t: TorchWriter, piece: Piece, mine: str, owners: dict[int, Param]) -> None:
    """Let the module of a layer that was just made use the parameters of others."""
    made = dict(line.split(" = ", 1) for line in t.made)
    modules = {t.module_of(owner.layer) for owner in owners.values()}
    alike = len(modules) == 1 and mine in made and made[mine] == made.get(*modules)
    if alike and len(owners) == len(piece.params) and all(owners[k].index == k for k in owners):
        t.made[-1] = f"{mine} = {modules.pop()}  # the same parameters"
        return
    for k, owner in owners.items():
        one, other = _part(mine, k), _part(t.module_of(owner.layer), owner.index)
        known = one in t.tensors and other in t.tensors
        if not (known and np.array_equal(t.tensors[one], t.tensors[other])):
            raise piece.refuse(f"it shares a parameter with '{owner.layer}'", "PyTorch")
        t.made.append(f"self.{one} = self.{other}")


def _part(module: str, index: int) -> str:
    """What the state dict calls a module's parameter; nothing that it has, from the third on."""
    return f"{module.removeprefix('self.')}.{PARTS[index] if index < len(PARTS) else index}"


def class_name(name: str) -> str:
    """ "U-Net" -> "UNet"."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name) if word]
    joined = "".join(word[0].upper() + word[1:] for word in words) or "Net"
    return f"Net{joined}" if joined[0].isdigit() else joined


def _quotable(text: str) -> str:
    """Without what would end a docstring, or be read as something else in it: names in a file are
    whatever a stranger wrote there."""
    return text.replace("\\", "/").replace('"' * 3, "'" * 3).replace("\0", " ")


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
    file = f"{stem}.safetensors"
    first = f"{net.name or 'A net'} in PyTorch; {file} holds its parameters.\n"
    told = _quotable(first + "".join("\n" + textwrap.fill(p, WIDTH) + "\n" for p in about))
    result = "torch.Tensor" if len(net.outputs) == 1 else "tuple[torch.Tensor, ...]"
    given = ", ".join(f"{a}: torch.Tensor" for a in arguments)
    helpers = "".join(f"\n\n{HELPERS[h]}" for h in writer.helpers)
    made = "".join(f"        {line}\n" for line in writer.made) or "        pass\n"
    body = "".join(f"        {line}".rstrip() + "\n" for line in lines)
    return (
        f'"""{told}"""\n\n'
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
        f"def load(path: str = {json.dumps(file, ensure_ascii=False)}) -> {name}:\n"
        '    """The net with its trained parameters, ready to predict."""\n'
        f"    net = {name}()\n"
        "    net.load_state_dict(load_file(path))\n"
        "    return net.eval()\n"
    )
