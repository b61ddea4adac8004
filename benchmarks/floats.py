"""The shipped models' float twins: the same layers with the int8 files' weights as float numbers.

    python -m benchmarks.floats FOLDER

For the float rows of ``make bench``, where the files that training left are not here. They take as long as
those, since time does not depend on the weights' values, and answer nearly as the int8 files do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.bench.plan import shipped
from edge.settings import Settings

AROUND = {"QUANTIZE", "DEQUANTIZE"}


def main(argv: Sequence[str] | None = None) -> int:
    """Write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floats", description=__doc__)
    parser.add_argument("folder", type=Path)
    for folder in twins(parser.parse_args(argv).folder, Settings()):
        print(folder)
    return 0


def twins(folder: Path, settings: Settings) -> list[Path]:
    """Write the twins of the models that *settings* name, a folder per model; the folders."""
    made = []
    for model in shipped(settings):
        place = folder / model.name
        place.mkdir(parents=True, exist_ok=True)
        for format, write in (("tflite", write_tflite), ("onnx", write_onnx)):
            if format in model.files:
                write(model.files[format].path, place / f"model.float.{format}")
        made.append(place)
    return made


def write_tflite(source: Path, path: Path) -> None:
    """The float twin of an int8 TFLite file."""
    import flatbuffers  # noqa: PLC0415 -- comes with LiteRT
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

    codes = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    whole = source.read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(whole))
    for buffer in model.buffers:
        if buffer.offset > 1:  # it lies behind the tables, where 0 and 1 mean that it does not
            held = whole[buffer.offset : buffer.offset + buffer.size]
            buffer.data, buffer.offset, buffer.size = np.frombuffer(held, np.uint8), 0, 0
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        scales = None if tensor.quantization is None else tensor.quantization.scale
        if scales is None or not len(scales):
            continue
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            kind = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}[tensor.type]
            held = np.frombuffer(bytes(data), kind).reshape(tensor.shape)
            values = restore(
                held, scales, tensor.quantization.zeroPoint, tensor.quantization.quantizedDimension
            )
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.buffer = len(model.buffers) - 1
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    same: dict[int, int] = {}
    layers = []
    for layer in graph.operators:
        code = model.operatorCodes[layer.opcodeIndex]
        layer.inputs = [same.get(number, number) for number in layer.inputs]
        if codes[max(code.builtinCode, code.deprecatedBuiltinCode)] in AROUND:
            same[int(layer.outputs[0])] = int(layer.inputs[0])
        else:
            layers.append(layer)
    graph.operators = layers
    graph.outputs = [same.get(number, number) for number in graph.outputs]
    for signature in model.signatureDefs or []:
        for output in signature.outputs:
            output.tensorIndex = same.get(output.tensorIndex, output.tensorIndex)
    builder = flatbuffers.Builder(source.stat().st_size * 5)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def write_onnx(source: Path, path: Path) -> None:
    """The float twin of an ONNX file with QuantizeLinear pairs.

    The quantiser took out every Relu that the lower end of a range does anyway; they come back.
    """
    import onnx  # noqa: PLC0415
    from onnx import numpy_helper  # noqa: PLC0415

    model = onnx.load(str(source))
    graph = model.graph
    held = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    makers = {name: layer.op_type for layer in graph.node for name in layer.output}
    same: dict[str, str] = {}
    floats, layers = [], []
    for layer in graph.node:
        for place, name in enumerate(layer.input):
            layer.input[place] = same.get(name, name)
        if layer.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
            layers.append(layer)
        elif layer.input[0] in held and layer.op_type == "DequantizeLinear":
            axis = next((one.i for one in layer.attribute if one.name == "axis"), 0)
            scales, zeros = held[layer.input[1]], held[layer.input[2]]
            values = restore(held[layer.input[0]], np.atleast_1d(scales), np.atleast_1d(zeros), axis)
            floats.append(numpy_helper.from_array(values, layer.output[0]))
        elif (
            layer.op_type == "QuantizeLinear"
            and makers.get(layer.input[0]) in {"Conv", "Add", "Gemm", "MatMul"}
            and held[layer.input[2]] == np.iinfo(held[layer.input[2]].dtype).min
        ):
            layers.append(onnx.helper.make_node("Relu", [layer.input[0]], [layer.output[0]]))
        else:
            same[layer.output[0]] = layer.input[0]
    for output in graph.output:  # its name is what the kit knows it by, so the layer takes that
        if output.name in same:
            was = same[output.name]
            for layer in layers:
                layer.output[:] = [output.name if name == was else name for name in layer.output]
                layer.input[:] = [output.name if name == was else name for name in layer.input]
    used = {name for layer in layers for name in layer.input}
    kept = [one for one in graph.initializer if one.name in used]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(layers)
    graph.initializer.extend([*kept, *floats])
    onnx.save(model, str(path))


def restore(held: Any, scales: Any, zeros: Any, axis: int) -> Any:
    """Whole numbers to float32, with one scale in all or one per slice along *axis*."""
    shape = [1] * held.ndim
    if len(scales) > 1:
        shape[axis] = len(scales)
    scale, zero = np.reshape(scales, shape), np.reshape(zeros, shape if len(zeros) > 1 else [1] * held.ndim)
    return ((held.astype(np.float64) - zero) * scale).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
