"""The live view of chains, as one group of components that every tab with a chain can place."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from app import present
from app.session import Session, View, scrub

CSS = """
.chain-view { width: 100%; max-width: 640px; image-rendering: pixelated; border-radius: 8px; display: block;
  margin: auto; }
.chain-empty { aspect-ratio: 5 / 4; max-width: 640px; margin: auto; border-radius: 8px; display: grid;
  place-content: center; color: var(--body-text-color-subdued);
  background: var(--background-fill-secondary); text-align: center; padding: 1em; }
.pixelated img { image-rendering: pixelated; }
.smooth { image-rendering: auto !important; }
.chain-gallery, .chain-gallery * { min-height: 0; }
.chain-gallery .grid-container { grid-template-columns: repeat(var(--grid-cols), minmax(0, 1fr)) !important; }
@media (max-width: 640px) {
  .chain-gallery .grid-container { grid-template-columns: repeat(3, minmax(0, 1fr)) !important; }
}
.chain-gallery .grid-container .thumbnail-item { aspect-ratio: auto; height: auto; }
.chain-gallery .grid-container .thumbnail-item img { height: auto; aspect-ratio: 1; }
.chain-gallery .grid-container .caption-label { position: static; max-width: none; padding: 2px 4px; font-size: 11px;
  line-height: 1.3; white-space: normal; text-align: left; }
"""
EMPTY = '<div class="chain-empty"><p>Press <b>{button}</b> and watch {what}.</p></div>'
ALT = "grid of Langevin chains"


@dataclass
class ChainView:
    """The components."""

    picture: gr.HTML
    status: gr.Markdown
    plot: gr.Plot
    scrubber: gr.Slider
    gallery: gr.Gallery
    png: gr.DownloadButton
    film: gr.DownloadButton

    @property
    def outputs(self) -> list[Any]:
        return [self.picture, self.status, self.plot, self.scrubber, self.gallery, self.png, self.film]

    def updates(self, view: View) -> dict[Component, Any]:
        """Gradio updates for one ``View``; what it leaves as it is, is not among them."""
        updates: dict[Component, Any] = {self.status: view.status}
        if view.frame is not None:
            updates[self.picture] = present.image_tag(view.frame, ALT, smooth=view.smooth)
        if view.plot is not None:
            updates[self.plot] = view.plot
        if view.phase == "running":
            updates |= dict.fromkeys((self.scrubber, self.png, self.film), gr.update(interactive=False))
        if view.result is not None:
            last = max(1, view.num_frames - 1)
            look = ["chain-gallery"] if view.smooth else ["chain-gallery", "pixelated"]
            updates[self.scrubber] = gr.Slider(maximum=last, value=last, interactive=True)
            updates[self.gallery] = gr.Gallery(view.result.gallery, elem_classes=look, columns=4 if view.smooth else 6)
            updates[self.png] = gr.DownloadButton(value=view.result.grid, interactive=True)
            if view.result.film:
                updates[self.film] = gr.DownloadButton(value=view.result.film, interactive=True)
        return updates


def build_chain_view(
    session: gr.State,
    page: str = "",
    button: str = "Sample",
    what: str = "noise walk downhill to pictures",
    idle: str = "Nothing sampled yet.",
) -> ChainView:
    """Place the components here; the slider shows the session's recorded walk by itself.

    ``page`` begins the components' ids, ``button`` is the name of the one that starts a walk, ``what`` it then shows,
    and ``idle`` the status before.
    """
    picture = gr.HTML(EMPTY.format(button=button, what=what), elem_id=f"{page}chain-picture")
    status = gr.Markdown(idle, elem_id=f"{page}chain-status")
    plot = gr.Plot(present.energy_plot([], 1), show_label=False, elem_id=f"{page}energy-plot")
    scrubber = gr.Slider(
        0, 1, 0, step=1, label="Look back through the walk", interactive=False, elem_id=f"{page}scrubber"
    )
    gr.Markdown("Pictures by energy, lowest first. Each downloads as a PNG that remembers its settings.")
    gallery = gr.Gallery(
        show_label=False,
        columns=6,
        height="auto",
        object_fit="contain",
        format="png",
        elem_classes=["chain-gallery", "pixelated"],
        elem_id=f"{page}gallery",
        interactive=False,
    )
    with gr.Row():
        png = gr.DownloadButton("Grid as PNG, with its settings", interactive=False, elem_id=f"{page}download-png")
        film = gr.DownloadButton("The walk as GIF", interactive=False, elem_id=f"{page}download-film")

    view = ChainView(picture, status, plot, scrubber, gallery, png, film)

    def show(current: Session, position: float) -> dict[Component, Any]:
        return view.updates(scrub(current, int(position)))

    scrubber.input(
        show,
        [session, scrubber],
        [picture, status],
        show_progress="hidden",
        trigger_mode="always_last",
        concurrency_limit=None,
    )
    return view
