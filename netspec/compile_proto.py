"""Turn caffe.proto into caffe.binpb, the FileDescriptorSet that `schema.py` loads.

Run it after an edit of caffe.proto (`python netspec/compile_proto.py`).  It needs grpcio-tools,
which users do not: they get the .binpb.  A test compares the two.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent


def compile_proto() -> bytes:
    """The serialized FileDescriptorSet of caffe.proto."""
    from grpc_tools import protoc  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "caffe.binpb"
        command = ["protoc", f"-I{FOLDER}", f"--descriptor_set_out={out}", "caffe.proto"]
        if protoc.main(command) != 0:
            raise SystemExit("protoc refused caffe.proto")
        return out.read_bytes()


if __name__ == "__main__":
    (FOLDER / "caffe.binpb").write_bytes(compile_proto())
