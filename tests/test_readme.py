from benchmarks.readme import README, refreshed


def test_the_figures_in_the_readme_are_the_measured_ones() -> None:
    text = README.read_text("utf-8")
    assert refreshed(text) == text, "run python -m benchmarks.readme"
