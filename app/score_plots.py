"""Scores as plots: where pictures stand among held-out ones, and where in a picture its energy comes from."""

import html
from dataclasses import dataclass
from functools import cache

import numpy as np
import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from plotly.colors import sample_colorscale, unlabel_rgb
from torch import Tensor

from app.present import GRID, INK, LOOK
from app.verdicts import Kind
from ebm_core import images
from ebm_core.calibration import Calibration

NUM_BINS = 40
REACH = 1.0  # pictures are shown up to so many widths of the histogram beyond it; others stand at the edge
MAX_LABELS = 12
COLOURS: dict[Kind, str] = {"usual": "#059669", "low": "#c26a05", "unusual": "#db2777", "raw": "#6366f1"}
SYMBOLS: dict[Kind, str] = {"usual": "circle", "low": "square", "unusual": "x", "raw": "diamond"}
NAMES: dict[Kind, str] = {
    "usual": "not unusual",
    "low": "suspiciously low",
    "unusual": "unusual",
    "raw": "your pictures",
}
PLOT_HEIGHT, ROW_HEIGHT = 170, 15  # pixels of the histogram, and of each row of marks above it


@dataclass(frozen=True)
class Mark:
    """One picture in the histogram."""

    label: str
    score: float
    kind: Kind


def score_plot(
    calibration: Calibration | None, name: str, label: str, threshold: float | None, marks: list[Mark]
) -> go.Figure:
    """The held-out pictures' score ``name`` as a histogram, the threshold as a line, and marks above it.

    Without a calibration there are only the marks. Those far outside stand at the edge, with their score and an arrow.
    """
    figure = go.Figure()
    low, high = _range(calibration, name, threshold, [mark.score for mark in marks])
    if calibration is not None:
        edges, heights = histogram(calibration, name)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=heights,
            width=np.diff(edges),
            name="held-out pictures",
            marker={"color": "#c7d2fe", "line_width": 0},
            hovertemplate="%{y:.1%} of held-out pictures<extra></extra>",
        )
    if threshold is not None:
        figure.add_vline(threshold, line={"color": INK, "dash": "dash", "width": 1.5})
        figure.add_annotation(
            x=threshold,
            y=1,
            yref="paper",
            yanchor="bottom",
            text="unusual →",
            showarrow=False,
            xanchor="left",
            font={"size": 11, "color": INK},
        )
    top = max(heights) if calibration is not None else 1.0
    num_rows = max(1, min(len(marks), MAX_LABELS))
    row = top * ROW_HEIGHT / PLOT_HEIGHT
    for kind in COLOURS:
        chosen = [(number, mark) for number, mark in enumerate(marks) if mark.kind == kind]
        if not chosen:
            continue
        texts = [_text(mark, low, high) for _, mark in chosen]
        figure.add_scatter(
            x=[min(max(mark.score, low), high) for _, mark in chosen],
            # One under the other in the order of the table, so that labels do not lie on each other.
            y=[1.05 * top + row * (num_rows - number % num_rows) for number, _ in chosen],
            mode="markers+text" if len(marks) <= MAX_LABELS else "markers",
            text=texts,
            textposition=["middle left" if mark.score > (low + high) / 2 else "middle right" for _, mark in chosen],
            textfont={"size": 11},
            cliponaxis=False,
            customdata=[[mark.score] for _, mark in chosen],
            hovertext=texts,
            hovertemplate="%{hovertext}: %{customdata[0]:.5g}<extra></extra>",
            name=NAMES[kind],
            marker={"size": 9, "color": COLOURS[kind], "symbol": SYMBOLS[kind]},
        )
    margin = 0.03 * (high - low)
    figure.update_layout(
        {
            "template": "none",
            "height": PLOT_HEIGHT + ROW_HEIGHT * num_rows + 100,
            "margin": {"l": 10, "r": 10, "t": 24, "b": 76},
            **LOOK,
            "bargap": 0,
            "showlegend": True,
            "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
            "xaxis": {
                "title": {"text": label, "standoff": 6},
                "range": [low - margin, high + margin],
                "gridcolor": GRID,
            },
            "yaxis": {"visible": False, "range": [0, 1.1 * top + row * num_rows]},
        }
    )
    return figure


def histogram(calibration: Calibration, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Edges of equal bins ``(NUM_BINS + 1,)`` and the share of held-out pictures in each, from the quantiles."""
    grid = calibration.quantiles[name]
    edges = torch.linspace(grid[0], grid[-1], NUM_BINS + 1, dtype=torch.float64)
    share = calibration.percentile(name, edges)
    share[0], share[-1] = 0, 1
    return edges.numpy(), share.diff().numpy()


def _range(
    calibration: Calibration | None, name: str, threshold: float | None, scores: list[float]
) -> tuple[float, float]:
    """What the axis shows."""
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    if calibration is not None:
        grid = calibration.quantiles[name]
        first, last = grid[0], max(grid[-1], threshold if threshold is not None else grid[-1])
        reach = REACH * (last - first)
        low, high = min(first, max(low, first - reach)), max(last, min(high, last + reach))
    return (low, high) if high > low else (low - 1, high + 1)


def _text(mark: Mark, low: float, high: float) -> str:
    if mark.score > high:
        return html.escape(f"{mark.label} ({mark.score:.4g}) ▶")
    return html.escape(mark.label if mark.score >= low else f"◀ ({mark.score:.4g}) {mark.label}")


def heat_map(heat: Tensor, size: int) -> bytes:
    """The size of the energy's gradient at each place ``(h, w)`` as a JPEG ``size`` pixels wide, black to yellow.

    The brightest hundredth of the places is as bright as can be: each map has a scale of its own. That of latents,
    which have fewer places than the picture has pixels, is enlarged smoothly.
    """
    heat = F.interpolate(heat.double()[None, None], size=(size, size), mode="bilinear")[0, 0]
    level = (heat / torch.quantile(heat, 0.99).clamp(min=1e-300)).clamp(0, 1).mul(255).round().long()
    picture = torch.from_numpy(_inferno())[level].permute(2, 0, 1)
    return images.encode(images.to_pil(picture), "JPEG", quality=95, subsampling=0)


@cache
def _inferno() -> np.ndarray:
    """256 colours, uint8 ``(256, 3)``."""
    scale = sample_colorscale("Inferno", list(np.linspace(0, 1, 256)))
    return np.array([unlabel_rgb(colour) for colour in scale]).round().astype(np.uint8)
