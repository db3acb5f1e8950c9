"""The page on reliability says what the tests of faults say."""

import pytest

from .faults import table


def test_the_page_is_made_from_the_tests():
    words = "run `python -m tests.faults.table`"
    assert table.TARGET.read_text() == table.page(), words


def test_a_test_that_does_not_say_what_happened_is_refused(tmp_path):
    path = tmp_path / "test_x.py"
    path.write_text('"""Title."""\n\n\ndef test_it():\n    """One line."""\n')
    with pytest.raises(ValueError, match=r"test_x\.py:4: test_it does not say what happened"):
        table.section(path)


def test_a_row_joins_lines_and_keeps_bars(tmp_path):
    path = tmp_path / "test_x.py"
    doc = '"""A user piped it into a | b.\n\n    Ends\n    quietly.\n    """'
    path.write_text(f'"""Title."""\n\n\ndef test_a_pipe():\n    {doc}\n')
    row = "| A user piped it into a \\| b | Ends quietly. | [a_pipe](../tests/faults/test_x.py) |"
    assert table.section(path).endswith(f"|---|---|---|\n{row}\n")
