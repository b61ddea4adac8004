from benchmarks import package
from benchmarks.readme import README, refreshed


def test_the_figures_in_the_readme_are_the_measured_ones() -> None:
    text = README.read_text("utf-8")
    assert refreshed(text) == text, "run python -m benchmarks.readme"


def test_the_package_is_told_as_large_as_it_was_measured() -> None:
    text = package.DOCUMENT.read_text("utf-8")
    assert package.refreshed(text) == text, "run python -m benchmarks.package"
