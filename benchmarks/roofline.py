"""The least time that each layer of a net can take on a card: arithmetic or memory, whichever is
more.

    python benchmarks/roofline.py models/unet.prototxt --card h200
    python benchmarks/roofline.py models/unet.prototxt --card rtx4090 --size 188
    python benchmarks/roofline.py models/unet.prototxt --card h100 --json floors.json

Nothing is measured: the ceilings are those of the data sheets (_cards.py; of the H200's bandwidth
what a copy reaches), the work is counted from the net's graph (_floors.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import _report
from _cards import CARDS, MODES
from _floors import MICRO, Row, rows, totals


def main() -> int:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("net", help="the net's prototxt")
    p.add_argument("--card", choices=CARDS, default="h200")
    p.add_argument("--size", type=int, help="pixels of a tile (default: what the net says, or 572)")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    args = p.parse_args()
    card = CARDS[args.card]
    found, parameters, shape = counted(args.net, args.size)
    print(
        f"{args.net}, {'x'.join(map(str, shape))}, on {card.name}: {card.bandwidth / 1e12:g} TB/s; "
        + ", ".join(f"{mode} {card.rate(mode) / 1e12:.4g}" for mode in MODES)
        + " TFLOP/s"
    )
    print(layer_table(found, args.card))
    print()
    print(total_table(found, args.card, parameters))
    if args.json:
        made = record(found, args.card, parameters)
        args.json.write_text(json.dumps(made, indent=1) + "\n")
    return 0


def counted(
    net: str, size: int | None = None, base: int | None = None
) -> tuple[list[Row], int, tuple[int, ...]]:
    """The layers of a net that take time, its parameters, and the shape of its image; base: of
    the U-Net, channels at the top."""
    import _unet
    from demitasse import netspec
    from demitasse.layers.base import Context
    from demitasse.net import params
    from demitasse.net.inference import build_layers
    from demitasse.tools.plan import image_in, plan_deploy

    source = _unet.source(base) if base else netspec.read_net(net)
    shape = image_in(source).shape
    shape = (*shape[:2], *(size or n for n in shape[2:]))
    graph, planned = plan_deploy(source, shape)
    table = params.table(graph, build_layers(graph, Context()), planned.inferred.needs)
    weights = {p.layer: p.shape for p in table if p.index == 0}
    return rows(graph.nodes, planned.inferred.values, weights), params.flat_size(table), shape


def layer_table(found: list[Row], card: str) -> str:
    """A line for each layer: work, and floors in microseconds, forward and backward."""
    head = ["layer", "output", "GFLOP", "MB", *MODES, "GFLOP back", "MB back", *MODES]
    lines = []
    for row in found:
        cells = [row.name, "x".join(map(str, row.shape[1:]))]
        for work, i in ((row.forward, 0), (row.back, 1)):
            cells += [f"{work.flop / 1e9:.2f}", f"{4 * work.moved / 1e6:.0f}"]
            cells += [f"{row.floors(CARDS[card], mode)[i] * MICRO:.0f}" for mode in MODES]
        lines.append(cells)
    return _report.table(head, lines, left=2)


def total_table(found: list[Row], card: str, parameters: int) -> str:
    """Milliseconds of a pass and of a training step."""
    forward = sum(row.forward.flop for row in found) / 1e9
    backward = sum(row.back.flop for row in found) / 1e9
    work = {"forward": forward, "backward": backward, "update": 0.0, "step": forward + backward}
    times = {mode: totals(found, CARDS[card], mode, parameters) for mode in MODES}
    lines = [
        [part, f"{flop:.1f}", *(f"{1e3 * times[mode][part]:.2f} ms" for mode in MODES)]
        for part, flop in work.items()
    ]
    return _report.table(["floor", "GFLOP", *MODES], lines)


def record(found: list[Row], card: str, parameters: int) -> dict[str, Any]:
    """For JSON: seconds."""
    return {
        "benchmark": "roofline",
        "command": " ".join(["benchmarks/roofline.py", *_report.arguments(sys.argv[1:])]),
        "card": CARDS[card]._asdict(),
        "parameters": parameters,
        "layers": {
            row.name: {
                "shape": row.shape,
                "flop": [row.forward.flop, row.back.flop],
                "bytes": [4 * row.forward.moved, 4 * row.back.moved],
                **{mode: row.floors(CARDS[card], mode) for mode in MODES},
            }
            for row in found
        },
        "totals": {mode: totals(found, CARDS[card], mode, parameters) for mode in MODES},
    }


if __name__ == "__main__":
    sys.exit(main())
