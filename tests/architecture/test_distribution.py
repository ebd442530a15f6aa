"""What is installed and what is given out: the locks and the wheel."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
_PIN = re.compile(r"^([a-z0-9-]+)==\S+", re.MULTILINE)


def _name(lock: Path) -> str:
    return lock.name


@pytest.mark.parametrize("lock", LOCKS, ids=_name)
def test_a_lock_names_no_address(lock: Path) -> None:
    assert not re.findall(r"\w+://\S+|^\s*--(?!hash=).*", lock.read_text(), re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS, ids=_name)
def test_every_package_of_a_lock_has_a_hash(lock: Path) -> None:
    requirements = re.split(r"^(?=[a-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
    assert requirements
    assert [text.splitlines()[0] for text in requirements if "--hash=sha256:" not in text] == []


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = {
        "run.txt": [*project["dependencies"], *extras["embedded"]],
        "dev.txt": [*project["dependencies"], *extras["embedded"], *extras["dev"]],
    }
    for lock, requirements in asked.items():
        pinned = set(_PIN.findall((ROOT / "requirements" / lock).read_text()))
        assert {re.split(r"[<>=!~ \[]", requirement)[0] for requirement in requirements} <= pinned


def test_run_and_dev_pin_the_same_versions() -> None:
    run, dev = (
        set(re.findall(r"^[a-z0-9-]+==[^\s;]+", (ROOT / "requirements" / lock).read_text(), re.MULTILINE))
        for lock in ("run.txt", "dev.txt")
    )
    assert run <= dev


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    there = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == there
    assert {Path(name).suffix for name in packed} >= {".py", ".sql", ".typed"}


def test_no_library_of_the_chains_lets_a_node_use_up_the_stack() -> None:
    """Some raise how deep Python goes; a document that is nested too deep is then no error but a crash."""
    load = (
        "import pkgutil, sys, billfold.chains as chains\n"
        "for module in pkgutil.walk_packages(chains.__path__, 'billfold.chains.'): __import__(module.name)\n"
        "print(sys.getrecursionlimit())"
    )
    said = subprocess.run([sys.executable, "-c", load], check=True, capture_output=True, text=True).stdout
    assert int(said) <= 1_000
