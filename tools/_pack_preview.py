"""`pack.py --preview`: what lies in the packed files, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import counted


def draw(listed: str, picture: Path, *, overwrite: bool) -> None:
    """A picture of the first, the middle and the last sample of the files in a list."""
    import h5py

    from ..data.hdf5 import read_list
    from ..imaging.preview import Sample, write_preview

    paths = read_list(str(listed))
    rows: list[Sample] = []
    for path, row in _spread(paths):
        with h5py.File(path) as file:
            names = [n for n in file if isinstance(file[n], h5py.Dataset)]
            maps = [n for n in ("weight", "weights", "weights2") if n in names]
            told = next((n for n in ("label", "labels") if n in names), None)
            (seen,) = (n for n in names if n not in (*maps, told))
            image = file[seen][row]
            label = file[told][row, 0] if told else np.zeros(image.shape[1:], np.uint8)
            shown = [(name, file[name][row, 0]) for name in maps]
        if image.ndim == 4:  # the slice of a volume with the most to see
            best = int((label > 0).sum(axis=(1, 2)).argmax())
            middle = best + (image.shape[1] - len(label)) // 2
            image, label = image[:, middle], label[best]
            shown = [(name, values[best]) for name, values in shown]
        label = np.where(label == 255, 0, label)  # ignored: it weighs nothing
        words = {"weight": "weights", "weights2": "sampling pdf"}
        named = tuple((words.get(name, name), values) for name, values in shown)
        rows.append(Sample(image, label, named, f"{Path(path).name}, row {row}"))
    write_preview(picture, rows, overwrite=overwrite)
    print(f"{picture}: a preview of {counted(len(rows), 'sample')}")


def _spread(paths: Sequence[str]) -> list[tuple[str, int]]:
    """The file and row of up to three samples."""
    import h5py

    rows: list[tuple[str, int]] = []
    for path in paths:
        with h5py.File(path) as file:
            first = next(d for d in file.values() if isinstance(d, h5py.Dataset))
            rows += [(path, k) for k in range(len(first))]
    return [rows[k] for k in sorted({0, len(rows) // 2, len(rows) - 1})]
