"""Chains to pictures, numbers to words and plots."""

import base64
import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import torch
from PIL import Image
from torch import Tensor

from ebm_core import images
from ebm_core.langevin import ChainState
from ebm_core.sampling import SamplePlan

GRID_WIDTH = 640  # pixels that the grid of chains is enlarged to, about
MAX_POINTS = 160  # of a line in the energy plot


def columns_for(num: int) -> int:
    """Columns of a grid as square as it gets."""
    return math.ceil(math.sqrt(num))


def draw_grid(x: Tensor, width: int = GRID_WIDTH) -> Image.Image:
    """Chains ``(B, C, H, W)`` as one picture about ``width`` pixels wide, with visible pixels."""
    columns = columns_for(len(x))
    zoom = max(1, min(8, width // (columns * x.shape[3])))
    return images.grid(x, columns, zoom=zoom, padding=3)


def image_tag(jpeg: bytes, caption: str) -> str:
    """The live picture as HTML; the bytes travel in the page, so that no file is left behind."""
    data = base64.b64encode(jpeg).decode()
    return f'<img class="chain-view" alt="{caption}" src="data:image/jpeg;base64,{data}">'


def encode_frame(x: Tensor) -> bytes:
    """A frame of the live view, a pixel for each pixel: the browser enlarges it, for which the chain need not wait."""
    return images.encode(images.grid(x, columns_for(len(x)), padding=1), "JPEG", quality=95, subsampling=0)


def status(plan: SamplePlan, state: ChainState, seconds_left: float | None, phase: str) -> str:
    """Step, round, time left and mean energy in one line."""
    parts = [f"**{phase}**", f"step {state.step} of {plan.num_steps}", _place(plan, state.step)]
    if seconds_left is not None:
        parts.append(f"about {max(1, round(seconds_left))} s left")
    parts.append(f"mean energy {float(state.energy.mean()):.4f}")
    return " · ".join(parts)


def _place(plan: SamplePlan, step: int) -> str:
    if step >= plan.rounds * plan.langevin.steps:
        return "refinement"
    return f"round {step // plan.langevin.steps + 1} of {plan.rounds}"


def energy_plot(energies: Sequence[Tensor], num_steps: int) -> go.Figure:
    """Energies of all chains over the steps: a thin line each, their mean bold."""
    figure = go.Figure()
    energies = list(energies)  # the walk goes on adding to it
    if energies:
        stride = max(1, len(energies) // MAX_POINTS)
        steps = sorted({*range(0, len(energies), stride), len(energies) - 1})
        table = torch.stack([energies[s] for s in steps])
        # All chains are one line with gaps, and arrays instead of lists: drawing must not hold the chain up.
        gap = torch.full((1, table.shape[1]), torch.nan)
        chains = torch.cat([table, gap]).T.flatten().numpy()
        figure.add_scatter(x=np.tile([*steps, np.nan], table.shape[1]), y=chains, mode="lines", hoverinfo="skip",
                           line={"width": 1, "color": "rgba(79,70,229,0.25)"})
        figure.add_scatter(x=np.array(steps), y=table.mean(dim=1).numpy(), mode="lines",
                           line={"width": 3, "color": "#4f46e5"}, name="mean")
    grid = {"gridcolor": "#e5e7eb", "zerolinecolor": "#e5e7eb"}
    figure.layout = {
        "height": 230, "margin": {"l": 60, "r": 10, "t": 10, "b": 40}, "showlegend": False, "plot_bgcolor": "white",
        "xaxis": {"title": {"text": "Langevin step"}, "range": [0, max(1, num_steps)], **grid},
        "yaxis": {"title": {"text": "energy"}, **grid}, "uirevision": "keep",
    }  # fmt: skip
    return figure
