"""One training for each snapshot_prefix: the file PREFIX.lock, while it runs.

    with locked("results/unet", print):
        ...

The file says who holds it, in words.  It is held by the system (flock), which lets go when the
process ends, however it ends; so a lock that nobody holds is taken over, if it was made on this
computer.  One of another computer may be held where this one cannot see it: it is refused.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import OutputError
from ..files import check_writable
from ..texts import utf8


@contextmanager
def locked(prefix: str, said: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock; OutputError names who else does."""
    path = Path(f"{prefix}.lock")
    check_writable(path)
    file = _opened(path)
    try:
        before = os.pread(file, 4096, 0).decode(errors="replace").strip()
        if before:
            if _host(before) != socket.gethostname():
                raise _refusal(path, before)
            said(f"{path}: taken over from {before}, which is gone")
        os.ftruncate(file, 0)
        os.pwrite(file, utf8(f"{_holder()}\n").encode(), 0)
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(file)


def _opened(path: Path) -> int:
    """The lock file, held, as a file descriptor."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), path.stat()):
                    return file
            # The one before has just deleted it: this one is nobody's.
        except BlockingIOError:
            holder = os.pread(file, 4096, 0).decode(errors="replace").strip()
            os.close(file)
            raise _refusal(path, holder or "another process") from None
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _holder() -> str:
    """This process, in words."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"pid {os.getpid()} on {socket.gethostname()} since {now}: {' '.join(sys.argv[:4])}"


def _host(holder: str) -> str:
    match = re.match(r"pid \d+ on (\S+) ", holder)
    return match[1] if match else ""


def _refusal(path: Path, holder: str) -> OutputError:
    return OutputError(
        "another training writes to this snapshot_prefix",
        where=str(path),
        found=holder,
        remedy="Wait for it, or give this one another --prefix (snapshot_prefix in the solver's "
        f"prototxt); if it is gone, delete {path}",
    )
