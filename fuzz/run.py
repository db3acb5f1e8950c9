"""Fuzz what reads files: `python fuzz/run.py prototxt --seconds 60`; without names, every target.

A target is a module beside this one:

    seeds()          whole files to begin with
    words()          tokens worth inserting (may be empty)
    check(data)      reads the bytes; only errors.DemitasseError may be raised in it, and is caught

Atheris (libFuzzer) drives it with the coverage of our modules, in a process that may take 1 GiB of
memory and 20 seconds for one input; anything else that is raised ends it.  The input is then left
in the current folder as crash-..., to be made small and kept in fuzz/found/NAME, where the tests
try it for ever.
"""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGETS = ("prototxt", "binary", "hdf5", "tiff", "log")
MOST_MEMORY, MOST_TIME, LONGEST = 1024, 20, 1 << 16  # MiB, seconds, bytes
OURS = ["demitasse", "tifffile"]  # whose coverage counts


def main(argv):
    parser = argparse.ArgumentParser(description="Fuzz what reads files, with atheris.")
    parser.add_argument("names", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("FUZZ_SECONDS", "60")))
    args = parser.parse_args(argv)
    if args.seconds < 1 or not set(args.names) <= set(TARGETS):
        parser.error("seconds must be 1 or more, and targets of those named in --help")
    if len(args.names) == 1:
        fuzz(args.names[0], args.seconds)  # never returns
    for name in args.names or TARGETS:
        command = [sys.executable, __file__, name, "--seconds", str(args.seconds)]
        if code := subprocess.run(command).returncode:
            print(f"{name}: ended with exit code {code}", file=sys.stderr)
            return 1
    return 0


def fuzz(name, seconds):
    """Fuzz one target in this process."""
    import atheris

    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=OURS, enable_loader_override=False):
        target = importlib.import_module(name)
    folder = tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-")
    corpus = Path(folder.name)
    for i, seed in enumerate((*target.seeds(), *found(name))):
        (corpus / f"seed-{i}").write_bytes(seed)
    words = corpus.with_suffix(".words")
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in target.words()))
    flags = [f"-max_total_time={seconds}", f"-rss_limit_mb={MOST_MEMORY}", f"-dict={words}"]
    flags += [
        f"-timeout={MOST_TIME}",
        f"-max_len={LONGEST}",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([f"fuzz {name}", *flags, str(corpus)], target.check)
    atheris.Fuzz()


def found(name):
    """The inputs that once broke a target."""
    return [path.read_bytes() for path in sorted((HERE / "found").glob(f"{name}-*"))]


def _quoted(word):
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
