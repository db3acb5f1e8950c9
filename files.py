"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError, WriteError

# where space is not what is missing
_HELPS = {
    errno.EFBIG: "Raise the limit for the size of files ('ulimit -f' says it)",
    errno.EDQUOT: "Remove files that count for the same quota",
}


def is_limited(error: BaseException | None) -> bool:
    """Whether the system refused to write for a limit of the user, however much space is free."""
    return isinstance(error, OSError) and error.errno in _HELPS


@contextmanager
def replacing(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`; what was written there takes its place when the block ends.

    The file is fsynced before and its folder after the rename, so a reader, a crash or a full disk
    sees the old file or the new one, never a part.  Raises OutputError where the target exists and
    may not be overwritten, WriteError where the system refuses to write.
    """
    target = Path(path)
    check_writable(target, overwrite=overwrite)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        helps = _HELPS.get(error.errno or 0, "Free some space")
        raise WriteError(
            f"could not be written ({error.strerror or error})",
            where=str(target),
            remedy=f"{helps} or name another folder; what stood there before is untouched",
        ) from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def check_writable(path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Raise OutputError now if `path` could not be written later: before the work, not after."""
    target = Path(path)
    # os.path, because Path.is_dir raises where a folder on the way may not be searched
    if os.path.isdir(target):
        raise OutputError("is a folder, not a file", where=str(target), remedy="Name a file in it")
    if os.path.exists(target) and not overwrite:
        raise OutputError(
            "exists already", where=str(target), remedy="Give --overwrite or name another file"
        )
    if not os.path.isdir(target.parent):
        raise OutputError(
            "the folder to write into does not exist",
            where=str(target.parent),
            remedy=f"Make it (mkdir -p '{target.parent}') or name another",
        )
    probe = target.with_name(f".{target.name}.{os.getpid()}.probe")
    try:
        try:
            probe.touch()
        finally:  # Ctrl-C, too
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder cannot be written ({error.strerror})",
            where=str(target.parent),
            remedy="Change its permissions or name another folder",
        ) from error
