"""Float TFLite and ONNX to int8: static ranges, one scale per output channel of each weight.

Both calibrate with plain minimum and maximum. The moving average that the TFLite quantiser takes by itself
clips rare strong activations and cost 3 % of the answers when it was measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from convert.silence import silence
from edge.types import FloatArray


def quantise_tflite(source: Path, calibration: FloatArray, path: Path) -> None:
    """Make a float TFLite file int8 inside, with float input and output.

    Args:
        source: the float file.
        calibration: N x height x width x channels inputs from the training data.
        path: the file to write.
    """
    with silence():
        from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe  # noqa: PLC0415
        from ai_edge_quantizer.utils import qsv_utils, tfl_interpreter_utils  # noqa: PLC0415

        work = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
        for border in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            work.update_quantization_recipe(".*", border, algorithm_key="no_quantize")
        interpreter = tfl_interpreter_utils.create_tfl_interpreter(str(source))
        signature, runner = next(iter(interpreter.get_signature_list().items()))
        feeds = {signature: [{runner["inputs"][0]: item[None]} for item in calibration]}
        ranges = calibrator.Calibrator(str(source), num_threads=1, qsv_update_func=qsv_utils.min_max_update)
        # The public calibrate() offers no choice of the update function; the recipe manager is private.
        ranges.calibrate(feeds, work._recipe_manager)  # noqa: SLF001
        work.quantize(_widen_dead(ranges.get_model_qsvs())).export_model(str(path), overwrite=True)


def _widen_dead(ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Give tensors that were zero for every input the range 0 to 1: any is right, but LiteRT refuses none.

    A layer of few channels can end up like this behind its ReLU.
    """
    widened = {}
    for name, found in ranges.items():
        dead = np.all(found["max"] == 0) and np.all(found["min"] == 0)
        widened[name] = {**found, "max": np.ones_like(found["max"])} if dead else found
    return widened


def quantise_onnx(source: Path, calibration: FloatArray, path: Path) -> None:
    """Make a float ONNX file int8 (as QuantizeLinear pairs); arguments as for quantise_tflite.

    Weights are signed, activations unsigned: signed ones leave onnxruntime's graph optimiser with float
    islands on x86, which made the expression model three times slower there. The answers are the same.
    """
    with silence(), tempfile.TemporaryDirectory() as folder:
        from onnxruntime import quantization  # noqa: PLC0415
        from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(path),
            _Reader("input", calibration),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )


class _Reader:
    """Feeds the calibration inputs one by one."""

    def __init__(self, name: str, inputs: FloatArray) -> None:
        self._feeds = iter([{name: item[None]} for item in inputs])

    def get_next(self) -> dict[str, FloatArray] | None:
        return next(self._feeds, None)
