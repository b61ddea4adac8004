"""An invitation held before the kit's camera: on a phone, or on paper. No picture is kept."""

from __future__ import annotations

import cv2

from edge.broker.invitation import Invitation, InvitationError, parse
from edge.sources import open_camera
from edge.types import SourceError

LOOK_S = 60.0


def read_invitation(uri: str, *, patience_s: float = LOOK_S) -> Invitation:
    """The first invitation that comes before the camera.

    Raises:
        SourceError: the camera fails, or nobody holds one there in time.
    """
    detector = cv2.QRCodeDetector()
    seen, begin = "", None
    with open_camera(uri) as camera:
        for frame in camera:
            begin = frame.at if begin is None else begin
            try:
                text, _, _ = detector.detectAndDecode(frame.image)
            except cv2.error:  # some patterns of half a code are more than it can bear
                text = ""
            if text:
                try:
                    return parse(text)
                except InvitationError as error:
                    seen = f"; a code was seen: {error}"
            if frame.at - begin > patience_s:
                break
    raise SourceError(f"{uri}: no invitation seen{seen}; hold it flat, a hand's width away, in good light")
