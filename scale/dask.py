"""Tasks done by Dask's workers, each of which loads once what all tasks need.

    with connected("tcp://host:8786") as client:         or "local:2": two workers on this machine
        for result in run(client, load, work, tasks):    in the order in which they are done
            ...

`load(threads)` is called once on each worker, with the number of its threads; `work(loaded, task)`
for each task.  A few tasks for each thread are under way at a time, however many there are; the
task of a worker that dies is given to another one.  The workers must be able to import both.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin, as_completed, get_worker

from ..errors import DeviceError

AHEAD = 3  # tasks for each thread of the workers: one done, two waiting beside it
PATIENCE = 60  # seconds to wait for a scheduler, and for its first worker

Loaded = TypeVar("Loaded")
Task = TypeVar("Task")
Result = TypeVar("Result")


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """The workers at an address; DeviceError where there are none."""
    kind, _, count = address.partition(":")
    if kind == "local":
        if not count.isdecimal() or int(count) < 1:
            raise DeviceError(f"'{address}' is not a number of workers", expected="local:2 or so")
        settings = {"n_workers": int(count), "threads_per_worker": 1, "dashboard_address": None}
        with LocalCluster(processes=True, **settings) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise DeviceError(
            f"there is no Dask scheduler at '{address}' ({error})",
            expected="an address such as tcp://host:8786, or local:2",
            remedy="Start it with `dask scheduler`, and workers with `dask worker ADDRESS`",
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise DeviceError(
                "the Dask scheduler has no workers",
                where=address,
                remedy=f"Start some: dask worker {address}",
            ) from None
        yield client


class Once(WorkerPlugin):
    """What a worker has loaded, from its first task on."""

    def __init__(self, load: Callable[[int], Any]) -> None:
        self.name, self.load = f"demitasse-{uuid.uuid4()}", load

    def setup(self, worker: Any) -> None:
        self.lock, self.threads, self.value = Lock(), worker.state.nthreads, None

    def get(self) -> Any:
        """The tasks that come meanwhile wait."""
        with self.lock:
            if self.value is None:
                self.value = self.load(self.threads)
            return self.value


def on_worker(name: str, work: Callable[[Any, Any], Any], task: Any) -> Any:
    """One task, in a thread of a worker."""
    return work(get_worker().plugins[name].get(), task)


def run(
    client: Client,
    load: Callable[[int], Loaded],
    work: Callable[[Loaded, Task], Result],
    tasks: Iterable[Task],
) -> Iterator[Result]:
    """The results of all tasks.

    What a task raises is raised here, after two more tries; DeviceError where workers die of it.
    """
    once, waiting = Once(load), iter(tasks)
    client.register_plugin(once)

    def begin(count: int) -> list[Any]:
        call, chosen = partial(on_worker, once.name, work), list(islice(waiting, count))
        futures: list[Any] = client.map(call, chosen, pure=False, retries=2)
        return futures

    try:
        under_way = begin(AHEAD * threads(client))
        finished = as_completed(under_way, with_results=True)
        count = len(under_way)
        for _, result in finished:
            # workers come and go
            more = begin(max(0, AHEAD * threads(client) - count + 1))
            count += len(more) - 1
            finished.update(more)
            yield result
    except KilledWorker as error:
        raise DeviceError(
            "several workers died of one task",
            found=str(error).partition(".")[0],
            remedy="They may need more memory than they have: give smaller --memory",
        ) from None
    finally:
        client.unregister_worker_plugin(once.name)


def threads(client: Client) -> int:
    """Of all workers, one at least."""
    return max(1, sum(client.nthreads().values()))
