"""`make docs` sees what is wrong with the site."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Build the site of a folder by the command of the Makefile."""
    command = re.search(r"^MKDOCS := \$\(BIN\)/(?P<command>.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert command is not None
    shutil.copy(ROOT / "mkdocs.yml", folder)
    settings = (folder / "mkdocs.yml").read_text("utf-8")
    start = re.sub(r"^nav:\n(?:  .*\n)+", "nav:\n  - index.md\n", settings, flags=re.MULTILINE)
    (folder / "mkdocs.yml").write_text(start, "utf-8")
    program, *options = command["command"].split()
    return subprocess.run(
        [sys.executable, "-m", program, *options], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "index.md").write_text("# Start\n\n[up](#start)\n", "utf-8")
    return folder


def test_a_site_without_a_fault_is_built(docs: Path) -> None:
    built = build(docs.parent)
    assert built.returncode == 0, built.stderr
    assert (docs.parent / "site" / "index.html").exists()


@pytest.mark.parametrize(
    ("name", "text"), [("index.md", "[gone](gone.md)"), ("index.md", "[gone](#gone)"), ("new.md", "")]
)
def test_a_broken_link_or_a_page_that_nobody_finds_fails_the_build(docs: Path, name: str, text: str) -> None:
    (docs / name).write_text(f"# Page\n\n{text}\n", "utf-8")
    assert build(docs.parent).returncode != 0
