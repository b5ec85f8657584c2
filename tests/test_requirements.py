import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TESTED = {"hypothesis", "pytest", "pytest-xdist"}  # of the extra dev


def pins(file: str) -> dict[str, Version]:
    """Return the version of each package of a file of exact requirements."""
    lines = [line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if "==" in line and line[0] != "#"]
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def declared(*extras: str) -> Iterator[Requirement]:
    """Yield what the project requires, with some extras."""
    words = [*PROJECT["dependencies"], *(word for extra in extras for word in PROJECT["optional-dependencies"][extra])]
    yield from map(Requirement, words)


def test_exact_requirements_are_versions_of_the_index_that_are_allowed():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    exact = pins("requirements.txt")
    for requirement in declared("dev"):
        assert exact[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_lowest_requirements_are_the_lowest_allowed_ones():
    lowest = pins("tests/lowest.txt")
    requirements = [each for each in declared("dev") if each in list(declared()) or each.name in TESTED]
    assert lowest.keys() == {canonicalize_name(each.name) for each in requirements}
    for requirement in requirements:
        [bound] = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
        assert lowest[canonicalize_name(requirement.name)] == bound
