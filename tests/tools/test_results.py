"""The names of what deploy and serve write."""

from pathlib import Path

import pytest
from demitasse.tools._results import parted


@pytest.mark.parametrize(
    ("file", "name", "kind"),
    [
        ("plate/A1.labels.tif", "A1", "labels"),
        ("A1.0.5.ome.tif", "A1.0.5", "ome"),
        ("A1.prob.zarr", "A1", "prob"),
        ("A1.overlay-12.png", "A1", "overlay"),
        ("A1.labels-0.25.tif", "A1", "labels"),
        ("2026.11.28_cell1.tif", "2026.11.28_cell1", ""),
        ("A1.labels_old.tif", "A1.labels_old", ""),
        ("labels.tif", "labels", ""),
    ],
)
def test_a_result_has_the_name_of_its_image_and_a_kind(file, name, kind):
    assert parted(Path(file)) == (name, kind)
