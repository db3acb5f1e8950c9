"""What the targets share: bytes as a file, and seeds from the repository."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"

_folder = Path(tempfile.mkdtemp(prefix="fuzz-file-"))
_owner = os.getpid()


@atexit.register
def _clean():
    if os.getpid() == _owner:
        shutil.rmtree(_folder, ignore_errors=True)


def as_file(data, name):
    """The bytes in a file of this name, always the same one."""
    path = _folder / name
    path.write_bytes(data)
    return path


def golden(pattern, most=1 << 15):
    """The content of recorded files that match, those that are not too large."""
    paths = sorted(GOLDEN.glob(pattern), key=lambda path: path.stat().st_size)
    return [path.read_bytes() for path in paths if path.stat().st_size <= most]
