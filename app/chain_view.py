"""The live view of chains, as one group of components that every tab with a chain can place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from app import present
from app.events import NEWEST
from app.session import Session, View, scrub
from app.shelf import PICTURE_TARGETS, TARGETS

EMPTY = '<div class="chain-empty"><p>{words}</p></div>'
ALT = "grid of Langevin chains"
GALLERY = """Pictures by energy, lowest first. Each downloads as a PNG that remembers its settings. The one that is
enlarged, or else the first, can go to another tab."""
LOOK = ["chain-gallery", "pixelated"]
LARGE_LOOK = ["chain-gallery", "smooth-gallery"]


@dataclass
class ChainView:
    """The components."""

    picture: gr.HTML
    status: gr.Markdown
    plot: gr.Plot
    scrubber: gr.Slider
    gallery: gr.Gallery
    zip: gr.DownloadButton
    png: gr.DownloadButton
    film: gr.DownloadButton
    csv: gr.DownloadButton
    json: gr.DownloadButton

    @property
    def outputs(self) -> list[Any]:
        return [self.picture, self.status, self.plot, self.scrubber, self.gallery, *self.downloads]

    @property
    def downloads(self) -> list[gr.DownloadButton]:
        return [self.zip, self.png, self.film, self.csv, self.json]

    def updates(self, view: View) -> dict[Component, Any]:
        """Gradio updates for one ``View``; what it leaves as it is, is not among them."""
        if view.result is not None and view.result.film:
            # It comes last and late: by then a person may be looking back through the walk.
            return {self.film: gr.DownloadButton(value=view.result.film, interactive=True)}
        updates: dict[Component, Any] = {self.status: view.status}
        if view.frame is not None:
            updates[self.picture] = present.live_picture(view.frame, ALT, view.progress, smooth=view.smooth)
        elif view.note:
            updates[self.picture] = EMPTY.format(words=view.note)
        if view.plot is not None:
            updates[self.plot] = view.plot
        if view.phase in ("waiting", "running"):
            updates |= dict.fromkeys((self.scrubber, *self.downloads), gr.update(interactive=False))
        if view.result is not None:
            last = max(1, view.num_frames - 1)
            updates[self.scrubber] = gr.Slider(maximum=last, value=last, interactive=True)
            updates[self.csv] = gr.DownloadButton(value=view.result.csv, interactive=True)
            updates[self.json] = gr.DownloadButton(value=view.result.json, interactive=True)
            updates[self.gallery] = gr.Gallery(view.result.gallery, elem_classes=LARGE_LOOK if view.smooth else LOOK)
            updates[self.zip] = gr.DownloadButton(value=view.result.zip, interactive=True)
            updates[self.png] = gr.DownloadButton(value=view.result.grid, interactive=True)
        return updates


def build_chain_view(
    session: gr.State,
    page: str = "",
    button: str = "Sample",
    what: str = "noise walk downhill to pictures",
    idle: str = "Nothing sampled yet.",
    sends: Sequence[str] = PICTURE_TARGETS,
) -> ChainView:
    """Place the components here; the slider shows the session's recorded walk by itself.

    ``page`` begins the components' ids, ``button`` is the name of the one that starts a walk, ``what`` it then shows,
    and ``idle`` the status before; a picture can go where ``sends`` says.
    """
    with gr.Column(elem_classes="stage-picture"):
        picture = gr.HTML(
            EMPTY.format(words=f"Press <b>{button}</b> and watch {what}."),
            padding=False,
            elem_id=f"{page}chain-picture",
        )
        status = gr.Markdown(idle, elem_id=f"{page}chain-status", elem_classes="live-status")
    with gr.Column(elem_classes="stage-record"):
        plot = gr.Plot(show_label=False, elem_id=f"{page}energy-plot")
        scrubber = gr.Slider(
            0, 1, 0, step=1, label="Look back through the walk", interactive=False, elem_id=f"{page}scrubber"
        )
        gr.Markdown(GALLERY, elem_classes="aside")
        gallery = gr.Gallery(
            show_label=False,
            height="auto",
            object_fit="contain",
            format="png",
            buttons=["download", "fullscreen"],
            elem_classes=LOOK,
            elem_id=f"{page}gallery",
            interactive=False,
        )
        with gr.Row(elem_classes="sending"):  # by page.js: the picture goes there as a file does that is opened
            for target in sends:
                gr.Button(TARGETS[target], min_width=140, elem_classes=f"send-to-{target}")
        with gr.Row(equal_height=True):
            every = gr.DownloadButton("All as ZIP", interactive=False, elem_id=f"{page}download-zip")
            png = gr.DownloadButton("Grid as PNG", interactive=False, elem_id=f"{page}download-png")
            film = gr.DownloadButton("Walk as GIF", interactive=False, elem_id=f"{page}download-film")
            csv, json = (
                gr.DownloadButton(
                    f"Energies as {kind.upper()}", interactive=False, min_width=140, elem_id=f"{page}download-{kind}"
                )
                for kind in ("csv", "json")
            )

    view = ChainView(picture, status, plot, scrubber, gallery, every, png, film, csv, json)

    def show(current: Session, position: float) -> dict[Component, Any]:
        return view.updates(scrub(current, int(position)))

    scrubber.input(show, [session, scrubber], [picture, status], **NEWEST)
    return view
