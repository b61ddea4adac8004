"""What the page shows for whatever is handed in: a result, or the one line that says what was wrong."""

from __future__ import annotations

from pathlib import Path

from convert.space_page import face_view, look, voice_view
from convert.space_page.face import FaceReader
from convert.space_page.trouble import UnreadableError
from convert.space_page.voice import VoiceReader


def about_voice(reader: VoiceReader, path: str | None) -> str:
    """HTML for a sound file, or for none."""
    if path is None:
        return look.waiting("waiting.voice")
    try:
        return voice_view.show(reader(Path(path)), reader.model)
    except UnreadableError as problem:
        return look.wrap(look.line(problem))


def about_face(reader: FaceReader, path: str | None) -> str:
    """HTML for a photo, or for none."""
    if path is None:
        return look.waiting("waiting.face")
    try:
        return face_view.show(reader(Path(path)), reader.model)
    except UnreadableError as problem:
        return look.wrap(look.line(problem))
