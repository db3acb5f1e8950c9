"""What every command shares: how it ends."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from ..errors import DemitasseError


def guarded(main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    """Run a command; a refusal becomes one paragraph on stderr and exit code 2, a failure of the
    machine exit code 1."""
    prepare_output()
    try:
        try:
            return main(argv)
        except DemitasseError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        finally:
            sys.stdout.flush()  # here, not at exit, where Python has words of its own for a failure
    except BrokenPipeError:  # the reader has gone (`| head`); nothing is left to say
        discard_unwritten()
        return 141
    except (MemoryError, OSError) as error:
        print(f"error: {said(error)}", file=sys.stderr)
        discard_unwritten()
        return 1


def discard_unwritten() -> None:
    """Let what was printed and cannot be written go nowhere, also at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave(code: int) -> NoReturn:
    """End the process.  After Ctrl-C at once: it may have come while a thread was started, of which
    Python's own exit then knows enough to wait for it and too little to end it."""
    if code == 130:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def prepare_output() -> None:
    """Let whatever is printed be printable: in an ASCII terminal, in a name that is not UTF-8, and
    where the shell closed the output (`>&-`): the next file opened would be taken for it."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and name != "stdin":
            known = codecs.lookup(stream.encoding).name
            if known in ("ascii", "utf-8"):  # where it is said to be ASCII it hardly ever is
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")
            else:
                stream.reconfigure(errors="backslashreplace")


def said(error: DemitasseError | MemoryError | OSError) -> str:
    """An error in the user's words, one paragraph."""
    if isinstance(error, MemoryError):
        asked = f" ({error})" if str(error) else ""
        return f"not enough memory{asked}. Take smaller tiles: --memory or --tile-size."
    if isinstance(error, OSError):
        parts = (error.filename, error.strerror or str(error) or type(error).__name__)
        return f"{': '.join(str(p) for p in parts if p is not None)}."
    return str(error)
