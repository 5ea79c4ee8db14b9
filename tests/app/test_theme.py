"""The page's colours can be read in both modes (WCAG 2.2, AA), and its style sheet knows no others."""

import re

import gradio as gr
import pytest

from app.present import LINE_COLOURS
from app.score_plots import COLOURS as MARKS
from app.theme import COLOURS, LOOK, VARIABLES

GROUNDS = ("ground", "surface", "sunken")


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # just too little, a known case


@pytest.mark.parametrize("mode", [0, 1])
def test_words_and_edges_can_be_read(mode):
    colours = {name: pair[mode] for name, pair in COLOURS.items()}
    for name in ("ink", "soft", "accent", "usual", "low", "unusual"):
        for ground in (*GROUNDS, *(["accent_ground"] if name in ("ink", "accent") else [])):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for fill in ("accent_fill", "accent_fill_hover"):
        assert contrast(colours["on_accent"], colours[fill]) >= 4.5, fill
    for ground in ("ground", "surface"):
        assert contrast(colours["edge"], colours[ground]) >= 3, ground
        for line in (*LINE_COLOURS, *MARKS.values()):
            assert contrast(line, colours[ground]) >= 3, (line, ground)


def test_gradio_knows_each_variable_that_is_set():
    plain = gr.themes.Base()
    assert [name for name in VARIABLES if not hasattr(plain, name)] == []


def test_the_style_sheet_takes_its_colours_from_the_theme():
    css = re.sub(r"/\*.*?\*/", "", LOOK["css"], flags=re.S)
    assert re.findall(r":\s*#[0-9a-fA-F]{3,8}\b", css) == []
    own = set(re.findall(r"(--[\w-]+):", css)) | {"--range_progress"}  # Gradio sets the latter on sliders
    theme = LOOK["theme"]._get_theme_css()
    for name in set(re.findall(r"var\((--[\w-]+)", css)) - own:
        assert f"  {name}: " in theme, name


def test_no_rule_of_the_style_sheet_turns_round_when_gradio_puts_prefixes_into_it():
    """It puts one after every comma: what a rule leaves out is then no longer left out."""
    css = re.sub(r"/\*.*?\*/", "", LOOK["css"], flags=re.S)
    for start in (match.end() for match in re.finditer(r":not\(", css)):
        depth, end = 1, start
        while depth:
            depth += {"(": 1, ")": -1}.get(css[end], 0)
            end += 1
        assert "," not in css[start:end], css[start:end]


def test_no_rule_of_the_style_sheet_changes_a_part_of_what_a_variable_sets():
    """Gradio writes the rules anew as the browser reads them, which drops such a whole: a card then has no border."""
    css = re.sub(r"/\*.*?\*/", "", LOOK["css"], flags=re.S)
    for rule in re.findall(r"\{([^{}]*)\}", css):
        for whole in re.findall(r"(?:^|;)\s*(border|background|margin|padding|outline|font):[^;]*var\(", rule):
            assert not re.search(rf"(?:^|;)\s*{whole}-(?!radius|offset)", rule), rule


def test_nothing_of_the_look_is_fetched_from_elsewhere():
    # A picture of the page itself is handed to another tab; the guard's policy keeps even that to this server.
    head = LOOK["head"].replace("await fetch(picture.src)", "")
    for text in (LOOK["css"], head, LOOK["theme"]._get_theme_css()):
        assert not re.search(r"@import|url\((?!['\"]?data:)|src=|fetch\(", text)
