"""Pieces of HTML that a report is made of: tables, pictures inside the page. Escapes what it is given."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

import cv2
import numpy as np


def table(names: Iterable[str], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """A table that scrolls where it is too wide; `kind`: a class of the page's style."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=scroll><table class='{kind}'><tr>{head}</tr>{body}</table></div>"


def inline(data: bytes, kind: str, text: str) -> str:
    """A picture inside the page, with words for those who do not see it."""
    encoded = base64.b64encode(data).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/{kind};base64,{encoded}">'


def figure(picture: str, caption: str) -> str:
    """A picture with words below."""
    return f"<figure>{picture}<figcaption>{html.escape(caption)}</figcaption></figure>"


def small_jpeg(image: np.ndarray, width: int) -> bytes:
    """A picture [h, w, 3] RGB as JPEG, at most so many pixels wide."""
    scale = min(1.0, width / image.shape[1])
    sized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(sized, cv2.COLOR_RGB2BGR))[1].tobytes())


def png(image: np.ndarray) -> bytes:
    """A picture [h, w, 3] RGB as PNG."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
