"""docs/reliability.md from the tests of this folder: `python -m tests.faults.table` writes it.

    module docstring, first line        title of a section
    test docstring, first line          what happened
    test docstring, the lines after it  what demitasse does

The tests are parsed, not imported.  ValueError for a test whose docstring does not say both.
"""

import ast
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TARGET = FOLDER.parents[1] / "docs" / "reliability.md"
OPENING = """# Reliability

What users, disks and files do, what demitasse does about it, and the test that shows it. This
page is made from the tests in `tests/faults/` by `python -m tests.faults.table`; a test compares
the two.

A command that refuses says where, what, what was expected and found, and what to do, in one
paragraph without a traceback. Its exit code is 2 for what a user did and can undo, 1 for what
failed while it ran.
"""


def page():
    """The whole page."""
    return OPENING + "".join(section(path) for path in sorted(FOLDER.glob("test_*.py")))


def section(path):
    """The part of one test module; empty for a module without faults."""
    module = ast.parse(path.read_text())
    tests = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    rows = [row(path, node) for node in sorted(tests, key=lambda node: node.lineno)]
    title, _ = parts(ast.get_docstring(module) or "")
    if not title:
        raise ValueError(f"{path.name} has no docstring, the title of its section")
    head = f"\n## {title}\n\n| What happened | What demitasse does | Test |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def row(path, node):
    what, does = parts(ast.get_docstring(node) or "")
    if not (what and does):
        raise ValueError(f"{path.name}:{node.lineno}: {node.name} does not say what happened")
    test = f"[{node.name.removeprefix('test_')}](../tests/faults/{path.name})"
    return f"| {cell(what)} | {cell(does)} | {test} |"


def parts(docstring):
    """The first line without its full stop, and the rest as one line."""
    first, _, rest = docstring.strip().partition("\n")
    return first.strip().removesuffix("."), " ".join(rest.split())


def cell(text):
    return text.replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(page())
    print(f"{TARGET}: written")
