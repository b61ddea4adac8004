"""The page: what is handed in on the left, what was read on the right, in two tabs and two languages."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from convert.space_page import answers, look
from convert.space_page.face import FaceReader
from convert.space_page.trouble import LARGEST_BYTES
from convert.space_page.voice import VoiceReader
from convert.space_page.words import Language, both, say
from edge.types import EdgeError

SWEEP_S, KEPT_S = 30, 120
"""Uploads are looked through every SWEEP_S seconds, and deleted when they are older than KEPT_S."""
FONTS = ("Inter", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "Arial", "sans-serif")
"""Whatever the reader's machine has: nothing is fetched from elsewhere."""
REMEMBERED = "suasana-language"


def main(root: Path, arguments: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C; 2 stands for anything the user can put right."""
    options = _parser().parse_args(arguments)
    # Gradio clears its folder when it ends in order; being terminated shall be in order too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="suasana-space-") as scratch:
        os.environ["GRADIO_TEMP_DIR"] = scratch
        try:
            page = build(VoiceReader(root), FaceReader(root))
            page.queue(max_size=32, default_concurrency_limit=1, api_open=False)
            page.launch(
                server_name=options.host,
                server_port=options.port,
                favicon_path=root / "space" / "logo.svg",
                max_file_size=LARGEST_BYTES,
                theme=_theme(),
                css=look.css(),
                footer_links=[],
                share=False,
                ssr_mode=False,
            )
        except EdgeError as error:
            print(f"space: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            print(f"space: port {options.port}: {error}", file=sys.stderr)
            return 2
    return 0


def build(voice: VoiceReader, face: FaceReader) -> gr.Blocks:
    """The page around two readers."""
    page: gr.Blocks
    with gr.Blocks(title="Suasana", analytics_enabled=False, delete_cache=(SWEEP_S, KEPT_S)) as page:
        sheet = _html(look.style("id"), "sheet")
        with gr.Row(elem_id="top"):
            _html(_head())
            language = gr.Radio(
                [("Bahasa Indonesia", "id"), ("English", "en")],
                value="id",
                label="Bahasa, language",
                show_label=False,
                container=False,
                elem_id="language",
                min_width=240,
            )
        with gr.Tabs():
            with gr.Tab(say("tab.voice", "id"), elem_id="voice") as voice_tab, gr.Row():
                with gr.Column(scale=2, min_width=300):
                    voice_file = gr.File(
                        label=say("voice.file", "id"), elem_id="voice-file", height=190, type="filepath"
                    )
                    microphone = gr.Audio(
                        label=say("voice.microphone", "id"),
                        elem_id="voice-microphone",
                        sources=["microphone"],
                        type="filepath",
                        editable=False,
                        buttons=[],
                    )
                    _html(_hint())
                with gr.Column(scale=3, min_width=340):
                    heard = _html(look.waiting("waiting.voice"), "heard")
            with gr.Tab(say("tab.face", "id"), elem_id="face") as face_tab, gr.Row():
                with gr.Column(scale=2, min_width=300):
                    face_file = gr.File(
                        label=say("face.file", "id"), elem_id="face-file", height=190, type="filepath"
                    )
                    camera = gr.Image(
                        label=say("face.camera", "id"),
                        elem_id="face-camera",
                        sources=["webcam"],
                        type="filepath",
                        image_mode=None,
                        buttons=[],
                        height=280,
                    )
                    _html(_hint())
                with gr.Column(scale=3, min_width=340):
                    seen = _html(look.waiting("waiting.face"), "seen")
        _html(_about(voice.model.metrics, face.model.metrics))

        # One question at a time: a reader holds what it heard last.
        hear, see = partial(answers.about_voice, voice), partial(answers.about_face, face)
        for source, answer, place, one in (
            (voice_file, hear, heard, "voice"),
            (microphone, hear, heard, "voice"),
            (face_file, see, seen, "face"),
            (camera, see, seen, "face"),
        ):
            source.change(
                answer, source, place, concurrency_id=one, concurrency_limit=1, api_visibility="private"
            )
        labels = (
            (voice_tab, "tab.voice"),
            (face_tab, "tab.face"),
            (voice_file, "voice.file"),
            (microphone, "voice.microphone"),
            (face_file, "face.file"),
            (camera, "face.camera"),
        )

        def speak(chosen: Language) -> list[Any]:
            return [look.style(chosen), *(gr.update(label=say(key, chosen)) for _, key in labels)]

        language.change(
            speak,
            language,
            [sheet, *(part for part, _ in labels)],
            api_visibility="private",
            show_progress="hidden",
            js=f"(l)=>{{try{{localStorage.setItem('{REMEMBERED}',l)}}catch{{}}"
            "document.documentElement.lang=l;return l}",
        )
        page.load(
            None,
            None,
            language,
            js="()=>{let l=null;"
            f"try{{l=localStorage.getItem('{REMEMBERED}')}}catch{{}}"
            "l=l==='en'?'en':'id';document.documentElement.lang=l;return l}",
        )
    return page


def _html(text: str, name: str | None = None) -> gr.HTML:
    """A place for HTML that has a style of its own."""
    return gr.HTML(text, elem_id=name, apply_default_css=False, padding=False)


def _head() -> str:
    return f'{look.sprite()}<div class="suasana head"><h1>{both("name")}</h1><p>{both("tagline")}</p></div>'


def _hint() -> str:
    return f'<div class="suasana"><p class="soft small">{both("only.own")}</p></div>'


def _about(voice: Mapping[str, Any], face: Mapping[str, Any]) -> str:
    """What it is not. The figures are those that the models' own folders carry, and missing where they do."""
    right = ""
    if {"uar", "claimed", "claimed_accuracy"} <= voice.keys():
        right += (
            "<p>"
            + both(
                "about.right.voice",
                uar=100 * voice["uar"],
                claimed=100 * voice["claimed"],
                right=100 * voice["claimed_accuracy"],
            )
            + "</p>"
        )
    if {"accuracy", "claimed", "claimed_accuracy"} <= face.keys():
        right += (
            "<p>"
            + both(
                "about.right.face",
                accuracy=100 * face["accuracy"],
                claimed=100 * face["claimed"],
                right=100 * face["claimed_accuracy"],
            )
            + "</p>"
        )
    right += f"<p>{both('about.right.indonesia')}</p>"
    cards = "".join(
        f'<section class="card"><h3>{both(f"about.{name}.title")}</h3>{body}</section>'
        for name, body in (
            ("not", f"<p>{both('about.not')}</p>"),
            ("right", right),
            ("kept", f"<p>{both('about.kept')}</p>"),
            ("law", f"<p>{both('about.law')}</p>"),
        )
    )
    return f'<div class="suasana about"><h2>{both("about.title")}</h2><div class="grid">{cards}</div></div>'


def _theme() -> gr.themes.Base:
    ours = {
        "body_background_fill": ("#f4f1ea", "#12191d"),
        "background_fill_primary": ("#fffdf9", "#1a2328"),
        "background_fill_secondary": ("#efebe2", "#222d33"),
        "block_background_fill": ("#fffdf9", "#1a2328"),
        "block_label_background_fill": ("#fffdf9", "#1a2328"),
        "input_background_fill": ("#fffdf9", "#222d33"),
        "border_color_primary": ("#ddd7ca", "#2f3b42"),
        "block_border_color": ("#ddd7ca", "#2f3b42"),
        "body_text_color": ("#20262b", "#eceae4"),
        "body_text_color_subdued": ("#545d64", "#a9b4b9"),
        "block_label_text_color": ("#545d64", "#a9b4b9"),
        "color_accent": ("#23645f", "#7cc8bd"),
        "color_accent_soft": ("#e3ecea", "#223a38"),
    }
    values = {name: light for name, (light, _) in ours.items()}
    values |= {f"{name}_dark": dark for name, (_, dark) in ours.items() if name != "color_accent"}
    return gr.themes.Base(
        font=FONTS, font_mono=("monospace",), primary_hue="teal", neutral_hue="stone", radius_size="lg"
    ).set(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python app.py", description="Serves the page.")
    environment = os.environ
    # A Space names its address in the environment.
    parser.add_argument("--host", default=environment.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(environment.get("GRADIO_SERVER_PORT", "7860")))
    return parser
