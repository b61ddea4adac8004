"""Suasana on a page. A Hugging Face Space runs this file; ``python app.py --port 7860`` runs it anywhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before Gradio and onnxruntime are imported, which look at these once and would report to their makers.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from convert.space_page.page import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent))
