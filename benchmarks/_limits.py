"""What the machine can do at best: single-precision products and copies of memory, measured.

    sgemm   each thread multiplies matrices of 1536 x 1536 by its own single-threaded BLAS
    copy    each thread copies its part of 256 MiB; bytes read and bytes written both count

The best of some tries, as it is a limit.  Run in a process of its own, like any contestant.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from _turns import Contestant, compete

SIDE, BYTES, TRIES = 1536, 256 << 20, 6


def measure(threads: int) -> dict[str, float]:
    """{"sgemm_gflops": ..., "copy_gb_s": ...} with so many threads."""
    who = Contestant("limits", "_limits", {"threads": threads})
    outcome = compete([who], 1, warm_up=0)["limits"]
    if outcome.error:
        raise RuntimeError(outcome.error)
    return outcome.found[0]


def line(limits: dict[str, float], threads: int) -> str:
    return (
        f"limits: {limits['sgemm_gflops']:.0f} GFLOP/s sgemm, {limits['copy_gb_s']:.1f} GB/s copy"
        f" (read and written), {threads} thread{'s' * (threads > 1)}"
    )


def make(threads: int) -> Callable[[], dict[str, float]]:
    import numpy as np
    from threadpoolctl import threadpool_limits

    pool = ThreadPoolExecutor(threads)

    def best(task: Callable[[int], object]) -> float:
        """Seconds for all threads to do it, at best."""
        found = []
        for _ in range(TRIES):
            begin = time.perf_counter()
            list(pool.map(task, range(threads)))
            found.append(time.perf_counter() - begin)
        return min(found)

    def run() -> dict[str, float]:
        rng = np.random.default_rng(0)
        a = rng.standard_normal((SIDE, SIDE), np.float32)
        c = np.empty((threads, SIDE, SIDE), np.float32)
        with threadpool_limits(1, "blas"):
            seconds = best(lambda i: np.matmul(a, a, out=c[i]))
        gflops = threads * 2 * SIDE**3 / seconds / 1e9
        old = np.ones((threads, BYTES // 4 // threads), np.float32)
        new = np.zeros_like(old)
        seconds = best(lambda i: np.copyto(new[i], old[i]))
        return {"sgemm_gflops": gflops, "copy_gb_s": 2 * old.nbytes / seconds / 1e9}

    return run
