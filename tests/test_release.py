"""What stands around a release: citation, image, issue templates; all say what is so."""

import importlib.util
import re
import tomllib
from pathlib import Path

import demitasse
from demitasse.tools import cli

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {demitasse.__version__}\n" in text
    assert {"10.1007/978-3-319-24574-4_28", "10.1145/2647868.2654889"} <= set(
        re.findall(r"doi: (\S+)", text)
    )


def test_the_image_installs_what_there_is_from_what_is_sent():
    text = (ROOT / "Dockerfile").read_text()
    extras = {name for found in re.findall(r"/src\[([\w,]+)\]", text) for name in found.split(",")}
    assert extras and extras <= PROJECT["project"]["optional-dependencies"].keys()
    unsent = set((ROOT / ".dockerignore").read_text().split())
    packages = PROJECT["tool"]["setuptools"]["packages"]
    assert not unsent & {name.split(".")[1] for name in packages if "." in name}
    needed = {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert not unsent & needed


def test_the_issue_templates_name_verbs_and_options_that_exist():
    named = set()
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        named |= set(re.findall(r"demitasse ([a-z_]+)", path.read_text()))
    assert {"doctor", "port", "check", "deploy"} <= named <= {*cli.VERBS, "or", "deploy"}


def test_a_release_needs_every_module_and_net_in_the_wheel():
    spec = importlib.util.spec_from_file_location("check", ROOT / ".ci/release_check.py")
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    wanted = check.wanted()
    assert {
        "demitasse/__init__.py",
        "demitasse/models/unet.prototxt",
        "demitasse/netspec/caffe.binpb",
        "demitasse/tools/export.py",
        "demitasse/tools/page/index.html",
    } <= wanted
    assert not [name for name in wanted if "/tests/" in name or "/benchmarks/" in name]
