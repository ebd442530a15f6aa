"""`make docs` sees what is wrong with the site."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(folder: Path, pages: Sequence[str] = ("index.md",)) -> "subprocess.CompletedProcess[str]":
    """Build the site of a folder by the command of the Makefile."""
    command = re.search(r"^MKDOCS := \$\(BIN\)/(?P<command>.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert command is not None
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(ROOT / "docs" / "assets", folder / "docs" / "assets")
    settings = (folder / "mkdocs.yml").read_text("utf-8")
    nav = "".join(f"  - {page}\n" for page in pages)
    start = re.sub(r"^nav:\n(?:  .*\n)+", f"nav:\n{nav}", settings, flags=re.MULTILINE)
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


def test_a_site_is_read_as_files_and_fetches_nothing_from_elsewhere(docs: Path) -> None:
    (docs / "index.md").write_text("# Start\n\n[more](more.md)\n", "utf-8")
    (docs / "more.md").write_text("# More\n\n[back](index.md)\n", "utf-8")
    assert build(docs.parent, pages=["index.md", "more.md"]).returncode == 0
    page = (docs.parent / "site" / "more.html").read_text("utf-8")
    scripts = re.findall(r'<script[^>]* src="([^"]+)"', page)
    assert any("iframe-worker" in script for script in scripts), "what lets the search work without a server"
    links = re.findall(r'<a[^>]* href="([^"#]+)', page)
    for target in [*scripts, *(link for link in links if not link.startswith("https://"))]:
        assert (docs.parent / "site" / target).is_file(), target


@pytest.mark.parametrize(
    ("name", "text"), [("index.md", "[gone](gone.md)"), ("index.md", "[gone](#gone)"), ("new.md", "")]
)
def test_a_broken_link_or_a_page_that_nobody_finds_fails_the_build(docs: Path, name: str, text: str) -> None:
    (docs / name).write_text(f"# Page\n\n{text}\n", "utf-8")
    assert build(docs.parent).returncode != 0
