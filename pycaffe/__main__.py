"""`python -m demitasse.pycaffe script.py ...`: run a script, or `-m module ...`, that says
`import caffe`, and let it find this package."""

from __future__ import annotations

import os
import runpy
import sys

from .alias import install

USAGE = """usage: python -m demitasse.pycaffe SCRIPT.py [arguments]
       python -m demitasse.pycaffe -m MODULE [arguments]

Run a script or a module written for pycaffe, unchanged: its `import caffe` finds demitasse.
Example: python -m demitasse.pycaffe train.py --solver solver.prototxt"""

PYTHON_2 = """
Python 3 cannot read this.  If it was written for Python 2, convert it once, with the program that
comes with Python up to 3.12: 2to3 -w FILE"""


def main(arguments: list[str]) -> int:
    """Run what the arguments name as Python itself would; its exit status is ours."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    install()
    try:
        return _run(arguments)
    except SyntaxError as error:
        error.add_note(PYTHON_2)
        raise


def _run(arguments: list[str]) -> int:
    if arguments[0] == "-m":
        if len(arguments) < 2:
            print(USAGE, file=sys.stderr)
            return 2
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    script = arguments[0]
    if not os.path.isfile(script):
        print(f"error: {script}: there is no such script.", file=sys.stderr)
        return 2
    sys.argv = arguments
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    runpy.run_path(script, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
