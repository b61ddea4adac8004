"""The faces of a photo, as HTML: the photo with numbered boxes, and a card with bars for each face."""

from __future__ import annotations

from base64 import b64encode

import cv2
import numpy as np

from convert.space_page import look
from convert.space_page.face import ReadFace, Seen
from convert.space_page.trouble import UnreadableError
from convert.space_page.words import both, percent
from edge.manifest import Manifest
from edge.types import ImageArray

SHOWN_PX, CROP_PX = 1280, 160
MOST_CARDS = 24


def show(seen: Seen, model: Manifest) -> str:
    """The whole result; a photo without faces is shown and says so."""
    limit = model.uncertain_below
    if not seen.faces:
        line = look.line(UnreadableError("trouble.face.none"))
        return look.wrap(line, f'<section class="card">{_photo(seen, limit)}</section>')
    count = len(seen.faces)
    title = both("face.found.one") if count == 1 else both("face.found", n=count)
    photo = f'<section class="card"><h3>{title}</h3>{_photo(seen, limit)}</section>'
    cards = "".join(_card(number, face, limit) for number, face in enumerate(seen.faces[:MOST_CARDS], 1))
    more = (
        f'<p class="soft small">{both("face.more", n=count - MOST_CARDS)}</p>' if count > MOST_CARDS else ""
    )
    told = f'<p class="soft small">{both("limit", limit=percent(limit))}</p>'
    return look.wrap(photo, f'<div class="faces">{cards}</div>{more}{told}')


def _photo(seen: Seen, limit: float) -> str:
    boxes = "".join(_box(number, face, limit) for number, face in enumerate(seen.faces, 1))
    return (
        f'<figure class="photo"><img alt="" src="{_jpeg(seen.image, SHOWN_PX)}">{boxes}'
        f'<figcaption class="hidden">{both("face.image")}</figcaption></figure>'
    )


def _box(number: int, face: ReadFace, limit: float) -> str:
    box, mood = face.box, "off" if face.scores is None else look.verdict(face.scores, limit)
    place = (
        f"left:{100 * box.x:.2f}%;top:{100 * box.y:.2f}%;"
        f"width:{100 * box.width:.2f}%;height:{100 * box.height:.2f}%"
    )
    return f'<div class="box m-{mood}" style="{place}"><b>{number}</b></div>'


def _card(number: int, face: ReadFace, limit: float) -> str:
    crop = f'<img class="crop" alt="" src="{_jpeg(face.crop, CROP_PX)}">'
    title = both("face.number", n=number)
    if face.scores is None:
        small = f'<p class="word">{both("face.small")}</p>'
        return (
            f'<section class="card face m-off">{crop}<div><p class="over">{title}</p>{small}</div></section>'
        )
    mood = look.verdict(face.scores, limit)
    label, probability = face.scores.best
    told = (
        both("sure", percent=percent(probability))
        if mood == label
        else both("unsure", label=label, percent=percent(probability), limit=percent(limit))
    )
    return (
        f'<section class="card face m-{mood}">{crop}<div><p class="over">{title}</p>'
        f'<p class="word">{both(mood)}</p><p class="small">{told}</p></div>'
        f"{look.bars(face.scores, limit)}</section>"
    )


def _jpeg(image: ImageArray, longest: int) -> str:
    """A data address, so that the picture is on the page and in no file."""
    scale = longest / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{b64encode(data.tobytes()).decode()}"
