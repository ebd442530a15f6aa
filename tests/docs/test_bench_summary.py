"""The README's summary of the benchmark is of the newest results."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FIGURE = re.compile(r"\d[\d.,]*(?:×| (?:/s|tps|ms|s|MiB|bytes)\b)")


def _figures() -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## How fast it is")[2].partition("\n## ")[0]
    told = [section.partition("\n| ")[0]]
    # The last column has the targets.
    told += [line.rsplit("|", 2)[0] for line in section.splitlines() if line.startswith("|")]
    return [figure for text in told for figure in _FIGURE.findall(text)]


def test_there_are_figures() -> None:
    assert len(_figures()) >= 12


@pytest.mark.parametrize("figure", _figures())
def test_each_figure_is_one_of_the_newest_results(figure: str) -> None:
    newest = (ROOT / "bench" / "results" / "latest.md").read_text(encoding="utf-8")
    assert re.search(rf"(?<![\d.,]){re.escape(figure)}", newest), f"{figure} is not in bench/results/latest.md"
