"""Parameters as safetensors: names, values, and where they come from."""

import numpy as np
import pytest
from demitasse.export.tensors import digest, named_parameters, write_tensors

from . import nets

safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed")


def test_names_values_and_header(tmp_path):
    net = nets.golden("residual_bn")
    tensors = named_parameters(net)
    write_tensors(tmp_path / "net.safetensors", tensors, {"weights": "old.caffemodel"})
    with safetensors.safe_open(tmp_path / "net.safetensors", "numpy") as file:
        assert file.metadata() == {"weights": "old.caffemodel", "sha256": digest(tensors)}
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    norm = next(n.name for n in net.graph.nodes if n.type == "BatchNorm")
    assert {"fc/weight", "fc/bias", f"{norm}/mean_sum", f"{norm}/factor"} <= found.keys()
    assert found.keys() == tensors.keys()
    for layer, arrays in net.parameters().items():
        named = [found[name] for name in found if name.startswith(f"{layer}/")]
        assert sum(a.size for a in arrays) == sum(a.size for a in named)
    np.testing.assert_array_equal(found["fc/weight"], net.params["fc"][0].data)


def test_a_shared_parameter_is_written_once():
    tensors = named_parameters(nets.golden("siamese_multi_loss"))
    assert "ip1/weight" in tensors and "ip1_p/weight" not in tensors


def test_the_digest_sees_names_shapes_and_values():
    one = {"a": np.zeros((2, 3), np.float32)}
    others = [
        {"b": one["a"]},
        {"a": one["a"].reshape(3, 2)},
        {"a": one["a"] + 1},
        {"a": one["a"].astype(np.float64)},
    ]
    assert len({digest(one), *map(digest, others)}) == 5
