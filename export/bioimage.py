"""A package of the BioImage Model Zoo: a zip that ilastik, deepImageJ, napari and others open.

    rdf.yaml                              what it is: axes, legal sizes, normalisation, authors, ...
    model.onnx                            the net, of any legal image size
    test_input.npy, test_output.npy       an image, and what the net makes of it
    cover.png, README.md                  what people see

Sizes are said as they are: an input axis is smallest + k step pixels, an output axis that of the
input less what unpadded convolutions take away (`offset`), so nothing is left for `halo` to crop.
The description is validated by bioimageio.spec, the zoo's own library, without the network.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..data.normalize import Normalization
from ..data.synthetic import image as drawn
from ..errors import GraphError, OutputError
from ..files import replacing
from ..net import Net
from ..net.sizes import Geometry
from .check import run
from .onnx_writer import OPSET
from .pieces import library
from .to_onnx import measured, to_onnx
from .words import normalised

EXTRA = "bioimageio"
COVER = 256  # pixels of each half of the cover
CITATIONS = (
    (
        "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image "
        "Segmentation. MICCAI 2015",
        "10.1007/978-3-319-24574-4_28",
    ),
    (
        "Jia et al.: Caffe: Convolutional Architecture for Fast Feature Embedding. ACM MM 2014",
        "10.1145/2647868.2654889",
    ),
)


@dataclass(frozen=True)
class About:
    """What a package says beside the net; pixel_size in micrometres; origin: where from."""

    name: str
    description: str
    authors: tuple[str, ...]
    license: str
    classes: tuple[str, ...]
    normalization: Normalization
    pixel_size: tuple[float, ...]
    origin: Mapping[str, str]


def write_package(
    path: str | os.PathLike[str], net: Net, about: About, *, overwrite: bool = True
) -> str:
    """Write the package, whole or not at all; returns how it was validated.

    Raises GraphError for a net that does not take images of many sizes, OutputError where the
    normalisation has no counterpart or the description is not valid.
    """
    spec = library("bioimageio.spec", EXTRA)
    rules = measured(net)
    if rules is None or len(net.inputs) != 1:
        raise GraphError(
            "the zoo's programs want a net that takes one image, of several sizes",
            where=net.graph.path,
        )
    with tempfile.TemporaryDirectory() as folder, replacing(path, overwrite=overwrite) as temporary:
        root = Path(folder)
        write_files(root, net, about, rules)
        context = spec.ValidationContext(root=root, perform_io_checks=True, log_warnings=False)
        described = spec.build_description(describe(spec, net, about, rules), context=context)
        if isinstance(described, spec.InvalidDescr):
            found = described.validation_summary.details[-1].errors[0]
            raise OutputError(
                f"the zoo's validator refuses it: {'.'.join(map(str, found.loc))}: {found.msg}",
                where=os.fspath(path),
            )
        package = temporary.with_suffix(".zip")
        spec.save_bioimageio_package(described, output_path=package)
        os.replace(package, temporary)
    return f"valid by bioimageio.spec {spec.__version__}"


def write_files(root: Path, net: Net, about: About, rules: tuple[Geometry, ...]) -> None:
    """Everything but rdf.yaml."""
    (blob,) = net.inputs
    (output,) = net.outputs
    image = sample(net)
    scores = run(net, {blob: about.normalization(image[0])[None]})[output]
    (root / "model.onnx").write_bytes(
        to_onnx(net, dynamic=True, metadata=dict(about.origin)).SerializeToString()
    )
    np.save(root / "test_input.npy", image)
    np.save(root / "test_output.npy", scores)
    (root / "cover.png").write_bytes(cover(image, scores))
    (root / "README.md").write_text(readme(about, rules), encoding="utf-8")


def sample(net: Net) -> np.ndarray:
    """A drawn micrograph as large as the net stands at: (1, channels, *spatial), float32."""
    shape = net.planned.inferred.values[net.graph.inputs[0]]
    *pages, height, width = (1, 1, *shape[2:])
    count = prod(pages) * shape[1]
    planes = [drawn(seed, (height, width)).pixels for seed in range(count)]
    return np.stack(planes).astype(np.float32).reshape(shape)


def cover(image: np.ndarray, scores: np.ndarray) -> bytes:
    """The test image and its most likely classes, side by side, as PNG."""
    import io

    from PIL import Image

    picture = Image.new("L", (2 * COVER, COVER))
    plane = (0, 0, *(n // 2 for n in image.shape[2:-2]))
    labels = scores[(0, slice(None), *(n // 2 for n in scores.shape[2:-2]))].argmax(0)
    for k, array in enumerate((image[plane], labels)):
        grey = np.atleast_2d(array).astype(np.float32)
        low, high = float(grey.min()), float(grey.max())
        scaled = (grey - low) * (255 / (high - low) if high > low else 0)
        half = Image.fromarray(scaled.astype(np.uint8)).resize(
            (COVER, COVER), Image.Resampling.NEAREST
        )
        picture.paste(half, (k * COVER, 0))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def describe(spec: Any, net: Net, about: About, rules: tuple[Geometry, ...]) -> dict[str, Any]:
    """The content of rdf.yaml."""
    shape = net.planned.inferred.values[net.graph.inputs[0]]
    count = net.planned.inferred.values[net.graph.outputs[0]][1]
    names = ("z", "y", "x")[-len(rules) :]
    classes = about.classes if len(about.classes) == count else [f"class{i}" for i in range(count)]
    channels = [f"channel{i}" for i in range(shape[1])]
    axes: dict[str, list[dict[str, Any]]] = {
        "image": [{"type": "batch"}, {"type": "channel", "channel_names": channels}],
        "probability": [{"type": "batch"}, {"type": "channel", "channel_names": list(classes)}],
    }
    for name, rule, scale in zip(names, rules, _pixels(about.pixel_size, len(names)), strict=True):
        space = {"type": "space", "id": name, "scale": scale}
        if about.pixel_size:
            space["unit"] = "micrometer"
        legal = {"min": rule.smallest, "step": rule.step}
        lost = {"tensor_id": "image", "axis_id": name, "offset": -(rule.before + rule.after)}
        axes["image"].append({**space, "size": legal})
        axes["probability"].append({**space, "size": lost})
    return {
        "type": "model",
        "format_version": spec.model.v0_5.ModelDescr.implemented_format_version,
        "name": about.name,
        "description": about.description,
        "authors": [{"name": name} for name in about.authors],
        "cite": [{"text": text, "doi": doi} for text, doi in CITATIONS],
        "license": about.license,
        "documentation": {"source": "README.md"},
        "covers": [{"source": "cover.png"}],
        "tags": ["unet", "segmentation", f"{len(names)}d", "demitasse", "caffe"],
        "inputs": [
            {
                "id": "image",
                "description": "the image, as it was taken",
                "axes": axes["image"],
                "data": {"type": "float32"},
                "test_tensor": {"source": "test_input.npy"},
                "preprocessing": preprocessing(about.normalization, ["channel", *names]),
            }
        ],
        "outputs": [
            {
                "id": "probability",
                "description": "of each class, wherever all that it depends on is in the image",
                "axes": axes["probability"],
                "data": {"type": "float32", "range": [0.0, 1.0]},
                "test_tensor": {"source": "test_output.npy"},
            }
        ],
        "weights": {"onnx": {"source": "model.onnx", "opset_version": OPSET}},
    }


def _pixels(size: tuple[float, ...], axes: int) -> tuple[float, ...]:
    """The size of a pixel along each axis; 1 where it is not known."""
    return size[-axes:] if len(size) >= axes else (size or (1.0,))[-1:] * axes


def preprocessing(rule: Normalization, axes: list[str]) -> list[dict[str, Any]]:
    """The normalisation in the zoo's words; OutputError where it has none for it."""
    if rule.name == "none":
        return []
    if rule.name == "depth":  # of 8 bits
        return [{"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0.0}}]
    if rule.name == "zscore":
        return [{"id": "zero_mean_unit_variance", "kwargs": {"axes": axes, "eps": 1e-6}}]
    if rule.name in ("minmax", "percentile"):
        low, high = rule.parameters.get("low", 0.0), rule.parameters.get("high", 100.0)
        ends = {"min_percentile": low, "max_percentile": high}
        return [{"id": "scale_range", "kwargs": {"axes": axes, "eps": 1e-6, **ends}}]
    raise OutputError(
        f"the zoo has no word for the normalisation '{rule.name}'",
        expected="none, depth, minmax, zscore or percentile",
        remedy="Give --normalization, if the net was trained with one of these",
    )


def readme(about: About, rules: tuple[Geometry, ...]) -> str:
    """What a reader of the package needs to know."""
    rows = [
        f"| {name} | {rule.smallest} + {rule.step} k "
        f"| {rule.before + rule.after} less | {rule.before} |"
        for name, rule in zip(("z", "y", "x")[-len(rules) :], rules, strict=True)
    ]
    cited = "\n".join(f"- {text}, https://doi.org/{doi}" for text, doi in CITATIONS)
    origin = "\n".join(f"- {name}: {value}" for name, value in about.origin.items())
    shrinks = any(rule.before + rule.after for rule in rules)
    border = (
        "Its convolutions are unpadded: what comes out is smaller than what goes in. To segment to "
        "the edges, mirror the image by the border beyond them, and let tiles overlap by twice the "
        "border; the result is then that of the whole image."
        if shrinks
        else "What comes out is as large as what goes in."
    )
    return (
        f"# {about.name}\n\n{about.description}\n\n"
        "A net of Caffe, exported by demitasse.\n\n"
        "## Sizes\n\n"
        "| axis | legal sizes in pixels | output | border on each side |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\n{border}\n\n"
        "## Normalisation\n\n"
        f"{normalised(about.normalization)}\n\n"
        "## Validation\n\n"
        "`test_output.npy` is what demitasse computes from `test_input.npy`, a drawn micrograph; "
        "it says that a program runs the net correctly, not how well the net segments. Compare "
        "segmentations of your own images with your own labels before you trust it.\n\n"
        f"## Origin\n\n{origin}\n\n## Please cite\n\n{cited}\n"
    )
