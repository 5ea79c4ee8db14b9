"""Chains to pictures, numbers to words and plots."""

import base64
import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ebm_core import images
from ebm_core.langevin import ChainState
from ebm_core.sampling import SamplePlan

GRID_WIDTH = 640  # pixels that the grid of chains is enlarged to, about
MAT = 0.09  # grey between the pictures of a live frame, 0 = black
FILM_WIDTH, MIN_FILM_SIDE = 300, 48  # of a film, and of each picture in it
# Of plots, to be told apart on light ground and on dark; their words and grids follow the mode (``page.css``).
LINE_COLOURS = ("#6366f1", "#db2777", "#059669", "#c26a05", "#0891b2", "#8b5cf6", "#5c940d", "#dc2626")
INK, GRID = "#7c828d", "rgba(128,128,128,0.25)"
LOOK = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": {"color": INK}}
MAX_POINTS = 160  # of a line in the energy plot


def columns_for(num: int) -> int:
    """Columns of a grid as square as it gets."""
    return math.ceil(math.sqrt(num))


def draw_grid(x: Tensor, width: int = GRID_WIDTH) -> Image.Image:
    """Chains ``(B, C, H, W)`` as one picture about ``width`` pixels wide, with visible pixels where they are few."""
    columns = columns_for(len(x))
    zoom = max(1, min(8, width // (columns * x.shape[3])))
    return images.grid(x, columns, zoom=zoom, padding=3)


def draw_film_frame(x: Tensor) -> Image.Image:
    """Chains as one picture of a film, no wider than about ``FILM_WIDTH``."""
    side = min(x.shape[3], max(MIN_FILM_SIDE, FILM_WIDTH // columns_for(len(x))))
    return draw_grid(x if side == x.shape[3] else F.interpolate(x, size=(side, side), mode="area"), FILM_WIDTH)


def image_tag(jpeg: bytes, caption: str, css: str = "chain-view", *, smooth: bool = False) -> str:
    """The live picture as HTML; the bytes travel in the page, so that no file is left behind.

    Pictures of few pixels show them; larger ones are to be ``smooth``.
    """
    data = base64.b64encode(jpeg).decode()
    css += " smooth" if smooth else ""
    return f'<img class="{css}" alt="{html.escape(caption)}" src="data:image/jpeg;base64,{data}">'


def live_picture(jpeg: bytes, caption: str, progress: float | None, *, smooth: bool = False) -> str:
    """The live picture over a bar of how much, 0 to 1, of the walk is done; None: nothing is going on."""
    value = "hidden" if progress is None else f'value="{progress:.3f}"'
    bar = f'<progress class="chain-progress" aria-label="how much of the walk is done" {value}></progress>'
    return image_tag(jpeg, caption, smooth=smooth) + bar


def matrix_table(
    cells: Sequence[Sequence[bytes | None]], rows: Sequence[str], columns: Sequence[str], *, smooth: bool = False
) -> str:
    """A table of pictures as HTML, one of them in each cell that has been made so far."""
    lines = ["<tr><td></td>" + "".join(f"<th>{html.escape(name)}</th>" for name in columns) + "</tr>"]
    for row, pictures in zip(rows, cells, strict=True):
        tags = [
            "" if picture is None else image_tag(picture, f"{row}, {column}", "matrix-cell", smooth=smooth)
            for column, picture in zip(columns, pictures, strict=True)
        ]
        lines.append(f"<tr><th>{html.escape(row)}</th>" + "".join(f"<td>{tag}</td>" for tag in tags) + "</tr>")
    return f'<table class="matrix">{"".join(lines)}</table>'


def encode_row(x: Tensor) -> bytes:
    """Chains beside each other, a pixel for each pixel."""
    return images.encode(images.grid(x, len(x), padding=0), "JPEG", quality=95, subsampling=0)


def encode_frame(x: Tensor) -> bytes:
    """A frame of the live view, a pixel for each pixel: the browser enlarges it, for which the chain need not wait.

    Gaps are a share of the pictures, so that frames of any size lie on each other once they are enlarged; dark, as a
    mat that does not glare in either mode.
    """
    gap = max(1, x.shape[3] // 16)
    frame = images.tile(x, columns_for(len(x)), gap, MAT)
    return images.encode(images.to_pil(frame), "JPEG", quality=95, subsampling=0)


def status(plan: SamplePlan, state: ChainState, seconds_left: float | None, phase: str) -> str:
    """Step, round, time left and mean energy in one line."""
    parts = [f"**{phase}**", f"step {state.step} of {plan.num_steps}", _place(plan, state.step)]
    if seconds_left is not None:
        parts.append(f"about {max(1, round(seconds_left))} s left")
    parts.append(f"mean energy {float(state.energy.mean()):.4f}")
    return " · ".join(parts)


def _place(plan: SamplePlan, step: int) -> str:
    if step >= plan.round_steps:
        return "refinement"
    leading = f", the best of {plan.candidates} each" if plan.candidates > 1 else ""
    return f"round {step // plan.langevin.steps + 1} of {plan.rounds}{leading}"


def energy_plot(
    energies: Sequence[Tensor],
    num_steps: int,
    lines: Mapping[str, Mapping[int, float]] | None = None,
    levels: Mapping[str, float] | None = None,
) -> go.Figure:
    """Energies of all chains over the steps: a thin line each, their mean bold; or one for each of the named ``lines``.

    A line has its value by step, and gaps where it was not asked for. ``levels`` are dashed across, by name.
    """
    figure = go.Figure()
    energies = list(energies)  # the walk goes on adding to it
    if lines:
        for number, (name, by_step) in enumerate(sorted(lines.items())):
            values = dict(by_step)  # the walk goes on adding to it
            places = np.arange(0, max(values) + 1, max(1, max(values) // MAX_POINTS))
            heights = np.array([values.get(int(step), np.nan) for step in places])
            figure.add_scatter(
                x=places,
                y=heights,
                name=name,
                mode="lines",
                line={"width": 2.5, "color": LINE_COLOURS[number % len(LINE_COLOURS)]},
            )
    elif energies:
        stride = max(1, len(energies) // MAX_POINTS)
        steps = sorted({*range(0, len(energies), stride), len(energies) - 1})
        table = torch.stack([energies[s] for s in steps])
        # All chains are one line with gaps, and arrays instead of lists: drawing must not hold the chain up.
        gap = torch.full((1, table.shape[1]), torch.nan)
        chains = torch.cat([table, gap]).T.flatten().numpy()
        figure.add_scatter(
            x=np.tile([*steps, np.nan], table.shape[1]),
            y=chains,
            mode="lines",
            hoverinfo="skip",
            line={"width": 1, "color": "rgba(99,102,241,0.3)"},
        )
        figure.add_scatter(
            x=np.array(steps),
            y=table.mean(dim=1).numpy(),
            mode="lines",
            line={"width": 3, "color": LINE_COLOURS[0]},
            name="mean",
        )
    for number, (name, height) in enumerate((levels or {}).items()):
        # Names stand at the two ends in turn: levels may lie close to each other.
        text, side = ([name, ""], "top right") if number % 2 else (["", name], "top left")
        figure.add_scatter(
            x=[0, max(1, num_steps)],
            y=[height, height],
            mode="lines+text",
            name=name,
            text=text,
            textposition=side,
            textfont={"size": 11, "color": INK},
            line={"width": 1, "dash": "dash", "color": "#9ca3af"},
        )
    grid = {"gridcolor": GRID, "zerolinecolor": GRID}
    figure.layout = {
        "height": 230,
        "margin": {"l": 60, "r": 10, "t": 10, "b": 40},
        "showlegend": bool(lines),
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        **LOOK,
        "xaxis": {"title": {"text": "Langevin step"}, "range": [0, max(1, num_steps)], **grid},
        "yaxis": {"title": {"text": "energy"}, **grid},
        "uirevision": "keep",
    }
    return figure
