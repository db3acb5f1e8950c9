"""NCCL on a card: as much of it as one card shows."""

import numpy as np
import pytest
from demitasse.errors import DeviceError
from demitasse.scale.nccl import Nccl, new_uid
from devices import card


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_rank_sums_what_it_has(dtype):
    there = card()
    try:
        uid = new_uid(there)
    except DeviceError as error:
        pytest.skip(str(error))
    values = np.random.default_rng(0).standard_normal(1000).astype(dtype)
    sums, array = Nccl(there, uid, 0, 1), there.upload(values)
    sums.broadcast(array[:500])
    array *= dtype(2)
    sums.begin(array[500:])
    sums.finish()
    np.testing.assert_array_equal(there.host(array), 2 * values)
