"""As much of CuPy's `cupy.cuda.nccl` as scale/nccl.py calls, with communicators that do sum: the
ranks' arrays meet by MPI, or by whatever `meet(size, uid, rank)` gives that has `allgather`.

What a communicator is told it does as late as a card may: when somebody waits for its stream.  It
refuses what would be wrong on a card: a collective while a CUDA graph is captured; one that does
not wait for all kernels that were launched.

fails: which of a communicator's collectives raises NcclError when it begins; breaks: which does
when it is asked about.

Facts: CuPy 14.2, cupy_backends/cuda/libs/nccl.pyx; cupy/cuda/nccl.py (available); nccl.h.
"""

import ctypes

import numpy as np

from .device_array import DeviceArray


class NcclError(RuntimeError):
    pass


def mpi(size, uid, rank):
    """MPI's processes, in a communicator of their own."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD.Dup()
    assert (size, rank) == (comm.size, comm.rank) and comm.bcast(uid) == uid
    return comm


class FakeNccl:
    available, NcclError = True, NcclError
    NCCL_SUM, NCCL_AVG, NCCL_FLOAT32, NCCL_FLOAT64 = 0, 4, 7, 8
    fails = breaks = None

    def __init__(self, cupy, meet=mpi):
        self.cupy, self.meet = cupy, meet

    def get_version(self):
        return 22707

    def get_unique_id(self):
        return b"u" * 128

    def NcclCommunicator(self, ndev, commId, rank):
        assert isinstance(commId, bytes) and len(commId) == 128
        if self.fails == 0:
            raise NcclError("NCCL_ERROR_UNHANDLED_CUDA_ERROR: unhandled cuda error")
        return Communicator(self, self.meet(ndev, commId, rank))


class Communicator:
    def __init__(self, nccl, ranks):
        self.nccl, self.ranks, self.count = nccl, ranks, 0

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):
        assert op in (FakeNccl.NCCL_SUM, FakeNccl.NCCL_AVG)

        def total(arrays):
            found = sum(arrays)
            return found / found.dtype.type(len(arrays)) if op == FakeNccl.NCCL_AVG else found

        self._tell(sendbuf, recvbuf, count, datatype, stream, total)

    def broadcast(self, sendbuff, recvbuff, count, datatype, root, stream):
        self._tell(sendbuff, recvbuff, count, datatype, stream, lambda arrays: arrays[root])

    def _tell(self, source, target, count, datatype, stream, result):
        cupy, self.count = self.nccl.cupy, self.count + 1
        if DeviceArray.busy:
            raise RuntimeError("a collective while a CUDA graph is captured")
        if self.count == self.nccl.fails:
            raise NcclError("NCCL_ERROR_SYSTEM_ERROR: unhandled system error")
        stream = cupy.streams[stream]
        assert stream.seen == cupy.launches, "what is summed may still be computed"

        def work():
            to_all = self.ranks.allgather(seen(source, count, datatype).copy())
            seen(target, count, datatype)[...] = result(to_all)

        stream.told.append(work)

    def check_async_error(self):
        if self.nccl.breaks is not None and self.count >= self.nccl.breaks:
            raise NcclError("NCCL_ERROR_REMOTE_ERROR: remote process exited")


def seen(address, count, datatype):
    """The array at an address."""
    dtype = np.dtype({FakeNccl.NCCL_FLOAT32: "f4", FakeNccl.NCCL_FLOAT64: "f8"}[datatype])
    return np.frombuffer((ctypes.c_char * (count * dtype.itemsize)).from_address(address), dtype)
