"""What the site leaves out of pages that are read in the repository, too (mkdocs.yml).

Marks of blocks are for the tests that run them; links out of docs/ have no page to go to, so their
words alone are kept.  These are mostly names of tests: they may break behind an underscore.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

MARK = re.compile(r'^(```\w+) (?:parsed|file)="[^"]*"$', re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    folder = posixpath.dirname(page.file.src_uri)

    def kept(found: re.Match[str]) -> str:
        out = posixpath.normpath(posixpath.join(folder, found[2])).startswith("..")
        return found[1].replace("_", r"\_<wbr>") if out else found[0]

    return LINK.sub(kept, MARK.sub(r"\1", markdown))
