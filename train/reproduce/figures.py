"""Plots and pictures of reports. Figures are made without pyplot: no window, no global state."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ebm_core import images

COLOURS = ("#4f46e5", "#db2777", "#059669", "#d97706", "#0891b2", "#7c3aed")


def figure(columns: int, titles: Sequence[str], *, width: float = 4.6) -> tuple[Figure, list[Axes]]:
    """A row of plots with a light grid."""
    figure = Figure(figsize=(width * columns, 3.2), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=10)
        axis.grid(color="#e5e7eb")
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def rows_of_pictures(rows: Sequence[Tensor], zoom: int = 2) -> Image.Image:
    """Images ``(B, C, H, W)``, uint8 or in [0, 1], a row for each tensor."""
    parts = [(x.float() + 0.5) / 256 if x.dtype == torch.uint8 else x for x in rows]
    columns = min(len(x) for x in parts)
    return images.grid(torch.cat([x[:columns].cpu() for x in parts]), columns, zoom=zoom)


def legend(axis: Axes, columns: int = 3) -> None:
    """Below the plot, where no line runs through it."""
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.18), ncols=columns)


def bars(axis: Axes, heights: Mapping[str, float | None], colour: str) -> None:
    """A bar for each name, none where there is no number."""
    axis.bar([name.replace(" ", "\n", 1) for name in heights], [h or 0.0 for h in heights.values()], color=colour)
    axis.tick_params(axis="x", labelsize=8)
