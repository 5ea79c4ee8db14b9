"""The live view of chains, as one group of components that every tab with a chain can place."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import present
from app.handlers import Session, View, scrub

CSS = """
.chain-view { width: 100%; max-width: 640px; image-rendering: pixelated; border-radius: 8px; display: block;
  margin: auto; }
.chain-empty { aspect-ratio: 5 / 4; max-width: 640px; margin: auto; border-radius: 8px; display: grid;
  place-content: center; color: #6b7280; background: #f3f4f6; text-align: center; padding: 1em; }
.pixelated img { image-rendering: pixelated; }
.pixelated .grid-container .thumbnail-item { aspect-ratio: auto; height: auto; }
.pixelated .grid-container .thumbnail-item img { height: auto; aspect-ratio: 1; }
.pixelated .grid-container .caption-label { position: static; max-width: none; padding: 2px 4px; font-size: 11px;
  line-height: 1.3; white-space: normal; text-align: left; }
"""
# How Gradio treats events that show a walk: four at once on all tabs together, the others wait.
CHAIN_EVENTS: dict[str, Any] = {"show_progress": "hidden", "concurrency_id": "chains", "concurrency_limit": 4}
# A press while a walk is on begins another one, whose view takes the place of the first.
RESTARTING_EVENTS = CHAIN_EVENTS | {"trigger_mode": "multiple"}
EMPTY = '<div class="chain-empty"><p>Press <b>{button}</b> and watch {what}.</p></div>'
ALT = "grid of Langevin chains"


@dataclass
class ChainView:
    """The components, in the order in which ``updates`` gives their values."""

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

    def updates(self, view: View) -> list[Any]:
        """Gradio updates for one ``View``."""
        running = view.phase == "running"
        updates: list[Any] = [
            gr.skip() if view.frame is None else present.image_tag(view.frame, ALT),
            view.status,
            gr.skip() if view.plot is None else view.plot,
        ]
        if view.result is not None:
            last = max(1, view.num_frames - 1)
            return updates + [
                gr.Slider(maximum=last, value=last, interactive=True),
                view.result.gallery,
                gr.DownloadButton(value=view.result.grid, interactive=True),
                gr.DownloadButton(value=view.result.film, interactive=True),
            ]
        off = gr.update(interactive=False) if running else gr.skip()
        return updates + [off, gr.skip(), off, off]


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
        show_label=False, columns=6, height="auto", object_fit="contain", format="png", elem_classes="pixelated",
        elem_id=f"{page}gallery", interactive=False,
    )  # fmt: skip
    with gr.Row():
        png = gr.DownloadButton("Grid as PNG, with its settings", interactive=False, elem_id=f"{page}download-png")
        film = gr.DownloadButton("The walk as GIF", interactive=False, elem_id=f"{page}download-film")

    def show(current: Session, position: float) -> tuple[str, str]:
        frame, caption = scrub(current, int(position))
        return present.image_tag(frame, ALT), f"**Looking back** · {caption}"

    scrubber.input(
        show, [session, scrubber], [picture, status], show_progress="hidden", trigger_mode="always_last",
        concurrency_limit=None,
    )  # fmt: skip
    return ChainView(picture, status, plot, scrubber, gallery, png, film)
