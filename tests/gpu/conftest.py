"""`--needs-card`, of `make gpu-test`: that no card can be used, or nothing ran on one, is a failure
and no reason to skip."""

import pytest
from devices import missing


def pytest_addoption(parser):
    parser.addoption(
        "--needs-card",
        action="store_true",
        help="fail where no card can be used, or every test was skipped",
    )


def pytest_configure(config):
    if asked(config) and missing():
        raise pytest.UsageError(f"these tests need a card, and there is none: {missing()}")


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if asked(session.config) and not reporter.stats.get("passed") and not session.exitstatus:
        reporter.write_line("every test was skipped: nothing has run on the card", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def asked(config):
    """Whether this process decides, and not a worker of it."""
    return config.getoption("needs_card", False) and not hasattr(config, "workerinput")
