"""Runs in a rival's own environment: ``python visitor.py NAME FACES.npz`` prints one JSON object.

FACES.npz holds ``frame`` (H x W x 3 BGR), ``boxes`` (N x 4, left, top, width, height in pixels), ``faces``
(M x 48 x 48 grey) and ``labels`` (M, in FER-2013's order). Time is the whole process's processor time, so
pools of threads hide nothing; they are set to one thread all the same.
"""

import json
import os
import resource
import sys
import sysconfig
import time
from importlib.metadata import version
from pathlib import Path

STARTED = time.process_time()
for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "TF_USE_LEGACY_KERAS": "0"}
ROUNDS = 8
LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def fer(data, **options):
    """The package fer as it is: its own mini-Xception, quantised unless told otherwise, its own weights."""
    import cv2
    from fer.fer import FER

    cv2.setNumThreads(1)
    frame, boxes = data["frame"], data["boxes"]
    reader = FER(**options)
    ready = time.process_time() - STARTED
    per_face = timed(lambda: reader.detect_emotions(frame, face_rectangles=[tuple(box) for box in boxes]))
    tight = FER(offsets=(0, 0), **options)
    right = 0
    for face, label in zip(data["faces"], data["labels"]):
        found = tight.detect_emotions(
            cv2.cvtColor(face, cv2.COLOR_GRAY2BGR), face_rectangles=[(0, 0, 48, 48)]
        )
        emotions = found[0]["emotions"]
        right += max(emotions, key=emotions.get) == LABELS[label]
    return {
        "weights": "its own",
        "ms_a_face": per_face / len(boxes),
        "as_used_ms": round(timed(lambda: reader.detect_emotions(frame)) / len(boxes), 4),
        "found": len(reader.detect_emotions(frame)),
        "ready_s": ready,
        "accuracy": round(right / max(1, len(data["labels"])), 4) if len(data["labels"]) else None,
        "package": f"fer {version('fer')}",
    }


def deepface(data):
    """DeepFace's emotion model through its own analyze(); weights as initialised, its own are a download."""
    from deepface import DeepFace
    from deepface.commons import weight_utils

    weight_utils.download_weights_if_necessary = lambda **_: ""
    weight_utils.load_model_weights = lambda model, **_: model
    frame = data["frame"]
    crops = [frame[y : y + height, x : x + width] for x, y, width, height in data["boxes"]]

    def look():
        for crop in crops:
            DeepFace.analyze(crop, actions=("emotion",), detector_backend="skip", silent=True)

    def whole():
        return DeepFace.analyze(frame, actions=("emotion",), enforce_detection=False, silent=True)

    look()
    ready = time.process_time() - STARTED
    return {
        "weights": "random",
        "ms_a_face": timed(look) / len(crops),
        "as_used_ms": round(timed(whole) / len(crops), 4),
        "found": len(whole()),
        "ready_s": ready,
        "accuracy": None,
        "package": f"deepface {version('deepface')}",
    }


def timed(call):
    """Median processor time in ms."""
    call()
    times = []
    for _ in range(ROUNDS):
        since = time.process_time()
        call()
        times.append(time.process_time() - since)
    return round(1000 * sorted(times)[len(times) // 2], 4)


def installed_mb():
    """Size of the environment, MB, bytecode, pip and setuptools aside."""
    folder = Path(sysconfig.get_paths()["purelib"])
    ours = ("pip", "setuptools", "pkg_resources")
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    return round(
        sum(file.stat().st_size for file in files if file.relative_to(folder).parts[0] not in ours) / 1e6
    )


def main():
    """Measure one rival."""
    import numpy as np

    with np.load(sys.argv[2]) as file:
        data = dict(file)
    rivals = {"fer": fer, "fer, on Keras": lambda data: fer(data, use_tflite=False), "deepface": deepface}
    result = rivals[sys.argv[1]](data)
    result["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)
    result["ms_a_face"], result["ready_s"] = round(result["ms_a_face"], 4), round(result["ready_s"], 2)
    result["installed_mb"] = installed_mb()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
