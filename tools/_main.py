"""What every command shares: how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from ..errors import DemitasseError


def guarded(main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    """Run a command; a refusal becomes one paragraph on stderr and exit code 2, a failure of the
    machine exit code 1."""
    try:
        return main(argv)
    except DemitasseError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # the reader has gone (`| head`); nothing is left to say, also not at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (MemoryError, OSError) as error:
        print(f"error: {said(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def said(error: DemitasseError | MemoryError | OSError) -> str:
    """An error in the user's words, one paragraph."""
    if isinstance(error, MemoryError):
        asked = f" ({error})" if str(error) else ""
        return f"not enough memory{asked}. Take smaller tiles: --memory or --tile-size."
    if isinstance(error, OSError):
        parts = (error.filename, error.strerror or str(error) or type(error).__name__)
        return f"{': '.join(str(p) for p in parts if p is not None)}."
    return str(error)
