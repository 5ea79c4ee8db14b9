"""Gradio's image editor as what the Edit page needs of it: a picture that is given, to be painted on."""

from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.base import server
from gradio.components.image_editor import AcceptBlobs, EditorData
from PIL import Image

from app.editing import CANVAS

BRUSH = ("#db2777", 0.6)  # what is painted, and still seen through
MAX_BYTES = 2 * 2**20  # of a layer, whose pixels are painted or not
MAX_WAITING = 200  # layers that browsers have sent and no button has asked for

from gradio.events import Dependency

class Painter(gr.ImageEditor):
    """Its value is what is painted, as RGBA layers; what is shown below them is only ever set by the page.

    Gradio keeps every layer that a browser sends until a button asks for it. Here a stranger's are small, and few wait.
    """

    def __init__(self, value: Any = None, **kwargs: Any) -> None:
        super().__init__(
            value,
            type="pil",
            sources=(),
            transforms=(),
            layers=False,
            brush=gr.Brush(default_size=40, colors=[BRUSH], default_color=BRUSH, color_mode="fixed"),
            eraser=gr.Eraser(default_size=40),
            canvas_size=(CANVAS, CANVAS),
            format="png",
            buttons=[],
            **kwargs,
        )

    def get_block_name(self) -> str:
        return "imageeditor"

    def preprocess(self, payload: EditorData | None) -> Any:
        """What is painted, ``list[Image]``. Raises ValueError, in a sentence, for what is no layer of this size."""
        if payload is None:
            return []
        if payload.id is not None:
            blobs = self.blob_storage.pop(payload.id, None)
            return [] if blobs is None else [_layer(layer) for layer in blobs.layers if layer is not None]
        return [_layer(Path(layer.path).read_bytes()) for layer in payload.layers]

    @server  # type: ignore[untyped-decorator]
    def accept_blobs(self, data: AcceptBlobs) -> None:
        """What a browser sends before the event that is about it."""
        if data.data["type"] == "layer":
            if len(data.files[0][1]) > MAX_BYTES or data.data["index"] not in ("0", 0):
                raise ValueError("what is painted is one layer and a small file: reload the page")
            super().accept_blobs(data)
            while len(self.blob_storage) > MAX_WAITING:
                self.blob_storage.pop(next(iter(self.blob_storage)))
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


def _layer(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data), formats=["PNG", "WEBP"]) as image:
        if image.size != (CANVAS, CANVAS):
            raise ValueError(f"a layer has {CANVAS}x{CANVAS} pixels, got {image.width}x{image.height}: reload the page")
        return image.convert("RGBA")