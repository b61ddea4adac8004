"""The benchmark of network shapes, on one that is small."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("litert_torch")

from benchmarks import shapes


def test_a_shape_is_made_as_the_shipped_model_is_and_measured_in_both_runtimes(tmp_path):
    small = shapes.Shape("fold", (16, 16), (1, 1), plain=True)
    peak, (found,) = shapes.measure(tmp_path, [small], turns=1)
    assert found.shape == "fold, 16/16, blocks 1.1, plain"
    # Two blocks of two layers, a stem and three ends: by hand.
    stem, blocks = 4 * 16 * 9 * 24**2, 2 * 16 * 16 * 9 * (24**2 + 12**2)
    ends = 16 * 32 * 12**2 + 32 * 128 * 12**2 + 128 * 7
    assert found.multiply_adds == stem + blocks + ends
    for name in ("tflite", "onnx"):
        floor_ms = found.multiply_adds / peak / 1e6
        assert found.times_floor[name] == pytest.approx(found.ms[name] / floor_ms, rel=0.05)
