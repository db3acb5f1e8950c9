"""caffe.proto is Caffe's vocabulary, caffe.binpb is caffe.proto, and loading it stays private."""

import subprocess
import sys

import pytest
from demitasse.netspec import schema
from google.protobuf import descriptor_pb2, descriptor_pool

# a sample of numbers that old binaries depend on
NUMBERS = {
    "NetParameter": {"name": 1, "layers": 2, "input": 3, "state": 6, "layer": 100},
    "LayerParameter": {"name": 1, "type": 2, "loss_weight": 5, "param": 6, "blobs": 7, "phase": 10}
    | {"convolution_param": 106, "pooling_param": 121, "crop_param": 144, "clip_param": 148},
    "V1LayerParameter": {"layer": 1, "name": 4, "type": 5, "blobs": 6, "blobs_lr": 7}
    | {"weight_decay": 8, "param": 1001, "blob_share_mode": 1002},
    "BlobProto": {"num": 1, "width": 4, "data": 5, "diff": 6, "shape": 7, "double_data": 8},
    "PoolingParameter": {"pool": 1, "kernel_size": 2, "stride": 3, "pad": 4, "round_mode": 13},
    "SolverState": {"iter": 1, "learned_net": 2, "history": 3, "current_step": 4},
}
DEFAULTS = [
    ("NetState", "phase", 1),
    ("ParamSpec", "decay_mult", 1.0),
    ("FillerParameter", "type", "constant"),
    ("FillerParameter", "std", 1.0),
    ("CropParameter", "axis", 2),
    ("SolverParameter", "solver_mode", 1),
    ("SolverParameter", "type", "SGD"),
    ("SolverParameter", "clip_gradients", -1.0),
    ("SolverParameter", "random_seed", -1),
    ("LossParameter", "normalization", 1),
    ("CreateDeformationParameter", "ncomponents", 2),
]


def test_checked_in_descriptors_are_those_of_the_proto():
    pytest.importorskip("grpc_tools")
    from demitasse.netspec.compile_proto import FOLDER, compile_proto

    def parsed(content):
        return descriptor_pb2.FileDescriptorSet.FromString(content)

    assert parsed((FOLDER / "caffe.binpb").read_bytes()) == parsed(compile_proto())


@pytest.mark.parametrize("name", NUMBERS)
def test_field_numbers_are_caffes(name):
    fields = schema.message(name).DESCRIPTOR.fields_by_name
    assert {field: fields[field].number for field in NUMBERS[name]} == NUMBERS[name]


@pytest.mark.parametrize(("name", "field", "value"), DEFAULTS)
def test_defaults_are_caffes(name, field, value):
    assert getattr(schema.message(name)(), field) == pytest.approx(value)


def test_fork_fields_never_meet_bvlc_numbers():
    fields = schema.LayerParameter.DESCRIPTOR.fields
    fork = [f.name for f in fields if f.number > 148]
    assert "create_deformation_param" in fork
    assert all(f.number > 10000 for f in fields if f.name in fork)


def test_one_pooling_size_looks_on_the_wire_as_bvlc_writes_it():
    pooling = schema.PoolingParameter(kernel_size=[2], stride=[3], pad=[1])
    assert pooling.SerializeToString() == bytes([2 << 3, 2, 3 << 3, 3, 4 << 3, 1])


def test_names_and_phases():
    assert (schema.TRAIN, schema.TEST) == (0, 1)
    assert schema.phase_name(0) == "TRAIN"
    assert schema.phase_name(1) == "TEST"
    assert schema.enum_name(schema.PoolingParameter(pool=1), "pool") == "AVE"
    assert schema.V1LayerParameter.LayerType.Value("CROP") == 40
    with pytest.raises(AttributeError, match="no message 'Nonsense'"):
        _ = schema.Nonsense


def test_no_message_contains_itself_so_that_text_cannot_nest_for_ever():
    def walk(descriptor, above):
        assert descriptor.name not in above
        for field in descriptor.fields:
            if field.message_type:
                walk(field.message_type, {*above, descriptor.name})

    walk(schema.SolverParameter.DESCRIPTOR, set())


def test_pool_is_private():
    assert schema.NetParameter.DESCRIPTOR.file.pool is not descriptor_pool.Default()


def test_importing_the_package_imports_neither_protobuf_nor_numpy():
    code = (
        "import sys, demitasse.netspec\n"
        "print([m for m in ('google.protobuf', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
