"""What the measures are asked for by name."""

import pytest
from demitasse.errors import ImageError
from demitasse.imaging.metrics import MEASURES, Settings, evaluate


def test_a_measure_that_there_is_not_is_refused_with_the_nearest():
    with pytest.raises(ImageError, match=r"no measure 'pixelerror'.*Did you mean pixel_error"):
        evaluate([], ["iou", "pixelerror"])
    assert evaluate([], list(MEASURES)) == {}


def test_so_is_a_kind_of_comparison():
    with pytest.raises(ImageError, match=r"'membranes'.*membrane, classes, instances"):
        Settings(kind="membranes")
