from pathlib import Path

import pytest

from edge import vitals


def test_this_process_has_a_size() -> None:
    assert 5 < vitals.rss_mb() < 100_000


@pytest.mark.parametrize(
    ("text", "expected"), [("48250\n", 48.2), ("", None), ("hot", None)], ids=["celsius", "empty", "nonsense"]
)
def test_temperature(tmp_path: Path, text: str, expected: float | None) -> None:
    (tmp_path / "temp").write_text(text)
    assert vitals.temperature_c(tmp_path / "temp") == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("0\n", False), ("50005\n", True), ("50000\n", False), ("?", None)]
)
def test_throttling_now_is_told_from_throttling_once(
    tmp_path: Path, text: str, expected: bool | None
) -> None:
    (tmp_path / "throttled").write_text(text)
    assert vitals.throttled(tmp_path / "throttled") == expected


def test_a_board_that_does_not_tell_is_none(tmp_path: Path) -> None:
    assert vitals.temperature_c(tmp_path / "none") is None
    assert vitals.throttled(tmp_path / "none") is None
    assert vitals.rss_mb(tmp_path / "none") == 0.0
