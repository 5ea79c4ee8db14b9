"""The look of the page: its colours on light and on dark ground, its style sheet and what the browser does by itself.

Every colour is a CSS variable (``--surface``), so that cards, plots and empty places follow the mode; ``page.css`` uses
no other. Text has a contrast of 4.5 or more on each ground that it stands on, edges of controls and lines of plots 3
(WCAG 2.2, AA). System fonts only: the page asks no other server for anything.
"""

from pathlib import Path
from typing import Any

import gradio as gr

# name: on light ground, on dark ground
COLOURS = {
    "ground": ("#f6f7fb", "#0d0f15"),
    "surface": ("#ffffff", "#171a23"),
    "sunken": ("#eef0f7", "#0f1219"),
    "line": ("#d9dce8", "#2d3342"),
    "edge": ("#858ba3", "#68708a"),
    "ink": ("#191c27", "#eceef5"),
    "soft": ("#555b6f", "#adb4c7"),
    "accent": ("#4338ca", "#aab6ff"),
    "accent_fill": ("#4338ca", "#4f46e5"),
    "accent_fill_hover": ("#3730a3", "#5f57ea"),
    "accent_ground": ("#e9ebfd", "#262a4a"),
    "on_accent": ("#ffffff", "#ffffff"),
    "usual": ("#047857", "#6ee7b7"),
    "low": ("#9a4a04", "#fcd34d"),
    "unusual": ("#be185d", "#f9a8d4"),
    "bars": ("#aeb8ee", "#4d5896"),
}

# Gradio's own variables, in both modes; the star stands before a name from above.
VARIABLES = {
    "body_background_fill": "*ground",
    "body_text_color": "*ink",
    "body_text_color_subdued": "*soft",
    "background_fill_primary": "*surface",
    "background_fill_secondary": "*sunken",
    "border_color_primary": "*line",
    "border_color_accent": "*accent",
    "border_color_accent_subdued": "*line",
    "color_accent": "*accent",
    "color_accent_soft": "*accent_ground",
    "link_text_color": "*accent",
    "link_text_color_hover": "*accent",
    "link_text_color_active": "*accent",
    "link_text_color_visited": "*accent",
    "code_background_fill": "*sunken",
    "block_background_fill": "*surface",
    "block_border_color": "*line",
    "block_border_width": "1px",
    "block_radius": "10px",
    "block_shadow": "none",
    "block_info_text_color": "*soft",
    "block_label_background_fill": "transparent",
    "block_label_border_width": "0px",
    "block_label_text_color": "*ink",
    "block_label_text_weight": "600",
    "block_title_text_color": "*ink",
    "block_title_text_weight": "600",
    "accordion_text_color": "*ink",
    "table_text_color": "*ink",
    "table_border_color": "*line",
    "table_even_background_fill": "*surface",
    "table_odd_background_fill": "*sunken",
    "table_row_focus": "*accent_ground",
    "checkbox_background_color": "*surface",
    "checkbox_background_color_hover": "*surface",
    "checkbox_background_color_focus": "*surface",
    "checkbox_background_color_selected": "*accent_fill",
    "checkbox_border_color": "*edge",
    "checkbox_border_color_hover": "*accent",
    "checkbox_border_color_focus": "*accent",
    "checkbox_border_color_selected": "*accent_fill",
    "checkbox_label_background_fill": "*sunken",
    "checkbox_label_background_fill_hover": "*accent_ground",
    "checkbox_label_background_fill_selected": "*accent_ground",
    "checkbox_label_border_color": "transparent",
    "checkbox_label_border_color_selected": "*accent",
    "checkbox_label_border_width": "1px",
    "checkbox_label_text_color": "*ink",
    "checkbox_label_text_color_selected": "*ink",
    "input_background_fill": "*surface",
    "input_background_fill_focus": "*surface",
    "input_border_width": "1px",
    "input_border_color": "*edge",
    "input_border_color_focus": "*accent",
    "input_placeholder_color": "*soft",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "slider_color": "*accent_fill",
    "loader_color": "*accent",
    "error_background_fill": "*surface",
    "error_text_color": "*unusual",
    "error_icon_color": "*unusual",
    "error_border_color": "*unusual",
    "button_primary_background_fill": "*accent_fill",
    "button_primary_background_fill_hover": "*accent_fill_hover",
    "button_primary_border_color": "*accent_fill",
    "button_primary_text_color": "*on_accent",
    "button_primary_text_color_hover": "*on_accent",
    "button_secondary_background_fill": "*surface",
    "button_secondary_background_fill_hover": "*accent_ground",
    "button_secondary_border_color": "*edge",
    "button_secondary_text_color": "*ink",
    "button_secondary_text_color_hover": "*ink",
    "button_border_width": "1px",
}


def build_theme() -> gr.themes.Base:
    """Gradio's plainest theme in these colours."""
    theme = gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_lg,
    )
    for name, (light, dark) in (COLOURS | {name: (value, value) for name, value in VARIABLES.items()}).items():
        setattr(theme, name, light)
        setattr(theme, f"{name}_dark", dark)
    return theme


def _text_of(file: str) -> str:
    return (Path(__file__).parent / file).read_text()


# What Gradio's ``launch`` takes: one look for the page, however it is served.
LOOK: dict[str, Any] = {
    "theme": build_theme(),
    "css": _text_of("page.css"),
    "head": f"<script>{_text_of('page.js')}</script>",
}
