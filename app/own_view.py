"""A visitor's own detector as HTML, as a table and as CSV."""

import base64
import csv
import html
import io
from typing import Any

import plotly.graph_objects as go

from app.limits import MAX_CARDS, MAX_PICTURES
from app.own import Entry, Judgement, Own
from app.present import image_tag
from app.score_plots import Mark, score_plot
from app.verdicts import share_in_words
from ebm_core.detector.card import TITLES, card
from ebm_core.detector.fit import Progress
from ebm_core.detector.methods import METHODS
from ebm_core.files import spreadsheet_text

LEGEND = (
    "Left, the picture as the detector sees it. Right, where it finds what normal pictures do not have there or "
    "anywhere: each map has a scale of its own, so a normal picture has a brightest place too."
)
HEADERS = ["#", "picture", "verdict", "% lower", "notes", *TITLES.values()]


def progress_bar(progress: Progress) -> str:
    """What goes on, as a bar with the time that is left."""
    left = "" if progress.seconds_left is None else f", about {_duration(progress.seconds_left)} left"
    return (
        f'<progress max="1" value="{progress.done:.3f}" style="width: 100%"></progress>'
        f"<p>{progress.doing.capitalize()}{left}</p>"
    )


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"


def about(own: Own) -> str:
    """The detector's card, in Markdown."""
    if own.detector is None:
        return ""
    said = "".join(f"- {sentence}\n" for sentence in own.account)
    text = card(own.detector, "my own pictures").split("## Files")[0].split("## Made")[0]
    return text.replace("# Detector: my own pictures\n\n", "").replace("## ", "#### ") + (
        f"#### Files\n{html.escape(said, quote=False)}" if said else ""
    )


def status(own: Own, doing: str = "") -> str:
    """How many pictures there are and what was found, in one line of Markdown."""
    done = [entry for entry in own.entries if entry.judgement]
    parts = [doing] if doing else []
    if own.entries:
        unusual = sum(_is_unusual(own, entry.judgement) for entry in done if entry.judgement)
        parts.append(f"**{len(done)} judged** · **{unusual} unusual** (above {threshold(own):.4g})")
    waiting = sum(not entry.judgement and not entry.problem for entry in own.entries)
    if waiting and not doing:
        parts.append(f"{waiting} still to be judged: drop another picture and they are too")
    if bad := sum(bool(entry.problem) for entry in own.entries):
        parts.append(f"{bad} could not be read")
    if own.left_out:
        parts.append(f"⚠️ {MAX_PICTURES} pictures are the most at once: {own.left_out} more were left out")
    return " · ".join(parts)


def threshold(own: Own) -> float:
    """The score above which a picture is called unusual."""
    assert own.detector is not None
    return own.detector.calibration.threshold(own.detector.info.method, own.rate)


def plot(own: Own) -> go.Figure | None:
    """Where the pictures stand among the held-out ones; None without a detector."""
    if own.detector is None:
        return None
    method = own.detector.info.method
    marks = [
        Mark(f"{number} · {entry.name[:22]}", entry.judgement.scores[method], _kind(own, entry.judgement))
        for number, entry in enumerate(own.entries, 1)
        if entry.judgement
    ]
    label = f"{TITLES[method]}: higher belongs less"
    return score_plot(own.detector.calibration, method, label, threshold(own), marks)


def cards(own: Own) -> str:
    """The first pictures, large, as HTML."""
    cards = [_card(own, number, entry) for number, entry in enumerate(own.entries[:MAX_CARDS], 1)]
    if not cards:
        return ""
    more = len(own.entries) - MAX_CARDS
    rest = f"<p>The other {more} are in the table below.</p>" if more > 0 else ""
    return f'<p class="score-legend">{LEGEND}</p><div class="score-cards">{"".join(cards)}</div>{rest}'


def _card(own: Own, number: int, entry: Entry) -> str:
    title = f"<h4>{html.escape(f'{number} · {entry.name[:60]}')}</h4>"
    judgement = entry.judgement
    if judgement is None:
        words = f"not judged: {html.escape(entry.problem)}" if entry.problem else "waiting"
        return f'<div class="score-card">{title}<p class="score-verdict">{words}</p></div>'
    tags = (
        image_tag(data, f"{entry.name}, {what}", "score-picture", smooth=True) for what, data in judgement.shown.items()
    )
    notes = "; ".join(judgement.picture.notes)
    assert own.detector is not None
    words = f"{share_in_words(judgement.share, own.detector.calibration.num)} score lower"
    parts = [
        f'<div class="score-card score-{_kind(own, judgement)}">{title}',
        f'<div class="score-pictures">{"".join(tags)}</div>',
        f'<p class="score-verdict"><b>{_verdict(own, judgement)}</b>: {words}</p>',
        f'<p class="score-notes">{html.escape(notes)}</p>' if notes else "",
    ]
    return "".join(parts) + "</div>"


def table(own: Own) -> dict[str, Any]:
    """All pictures, a row each."""
    rows = []
    for number, entry in enumerate(own.entries, 1):
        judgement = entry.judgement
        if judgement is None:
            rows.append(
                [number, entry.name, "not judged" if entry.problem else "waiting", "", entry.problem, "", "", ""]
            )
            continue
        values = [f"{judgement.scores[name]:.4g}" for name in METHODS]
        notes = "; ".join(judgement.picture.notes)
        rows.append([number, entry.name, _verdict(own, judgement), f"{100 * judgement.share:.1f}", notes, *values])
    return {"headers": HEADERS, "data": rows}


def csv_link(own: Own) -> str:
    """The CSV as a link; its bytes travel in the page, so that no file is left behind."""
    if not own.entries or own.detector is None:
        return ""
    data = base64.b64encode(csv_text(own).encode()).decode()
    return (
        '<a class="score-csv" download="scores-my-own-pictures.csv" '
        f'href="data:text/csv;charset=utf-8;base64,{data}">Download as CSV</a>'
    )


def csv_text(own: Own) -> str:
    """All pictures with the scores of all methods, and what judged them."""
    assert own.detector is not None
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["number", "file", "method", "false_alarm_rate", "verdict", "percentile", *METHODS, "notes"])
    for number, entry in enumerate(own.entries, 1):
        judgement = entry.judgement
        said: list[Any] = ["not judged", "", *[""] * len(METHODS), entry.problem]
        if judgement is not None:
            values = [judgement.scores[name] for name in METHODS]
            said = [_verdict(own, judgement), judgement.share, *values, "; ".join(judgement.picture.notes)]
        row = [number, entry.name, own.detector.info.method, own.rate, *said]
        writer.writerow([spreadsheet_text(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def _is_unusual(own: Own, judgement: Judgement) -> bool:
    assert own.detector is not None
    return judgement.scores[own.detector.info.method] > threshold(own)


def _kind(own: Own, judgement: Judgement) -> Any:
    return "unusual" if _is_unusual(own, judgement) else "usual"


def _verdict(own: Own, judgement: Judgement) -> str:
    return "unusual" if _is_unusual(own, judgement) else "not unusual"
