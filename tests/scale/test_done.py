"""Which tasks are done outlives the process that knew it."""

import pytest
from demitasse.errors import OutputError
from demitasse.scale.done import done


def test_marks_are_there_when_the_file_is_opened_again(tmp_path):
    with done(tmp_path / "done", 5) as state:
        assert state.left == [0, 1, 2, 3, 4]
        state.mark(3)
        state.mark(0)
    with done(tmp_path / "done", 5) as state:
        assert state.left == [1, 2, 4]
        state.forget()
        assert state.left == [0, 1, 2, 3, 4]
    with done(tmp_path / "done", 5) as state:
        assert len(state.left) == 5


def test_two_processes_do_not_work_on_one_job(tmp_path):
    with (
        done(tmp_path / "done", 5),
        pytest.raises(OutputError, match="another process is at work"),
        done(tmp_path / "done", 5),
    ):
        pass
