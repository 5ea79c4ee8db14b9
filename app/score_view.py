"""A Score page's board as HTML, as a table and as CSV."""

import base64
import csv
import html
import io
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from app.board import Board, Entry, Scored
from app.limits import MAX_CARDS, MAX_PICTURES
from app.present import image_tag
from app.report import reported
from app.score_plots import Mark, score_plot
from app.verdicts import Verdict, judge_of, judges_of, threshold_of, training_warning, verdict_of
from ebm_core.files import spreadsheet_text
from ebm_core.joint import JOINT

TERMS = ("energy", "scale_", "reconstruction", "typicality")  # beginnings of the scores that every card has
MAX_NAME = 60  # characters of a file's name that are shown
LEGEND = (
    "Left, the picture as the model sees it. Right, its energy's gradient: where it is bright, a change of the pixels "
    "changes the energy most."
)
CODED_LEGEND = (
    "Left, the picture. In the middle, what is left of it in the short code that the model works on: it sees no more "
    "than that. Right, the energy's gradient: where it is bright, a change of the code changes the energy most. The "
    "code has {side} by {side} places, so the map is coarse."
)


@dataclass
class Shown:
    """One update of the page; None leaves a part as it is."""

    status: str
    plot: go.Figure | None = None
    cards: str | None = None
    table: dict[str, Any] | None = None
    csv: str | None = None
    choices: list[tuple[str, int]] | None = None  # what can be pulled back, by its number; the most unusual first
    finished: bool = True  # False while pictures are still being scored


def show(board: Board, progress: str = "", *, finished: bool = True) -> Shown:
    """The board as it stands; ``progress`` is what goes on. Only what is finished has a CSV.

    The choices come with the cards, whose buttons choose among them.
    """
    with board.lock:
        return Shown(
            status=" · ".join(filter(None, [progress, summary(board)])),
            plot=plot(board),
            cards=cards(board),
            table=table(board),
            csv=csv_link(board) if finished else "",
            choices=choices(board),
            finished=finished,
        )


def about(board: Board) -> str:
    """What the model's energies are compared with, as Markdown."""
    assert board.model is not None
    warning = "An energy compares only within one model: another one scores all pictures anew."
    if board.calibration is not None:
        compared = f"Compared with {board.calibration.num:,} held-out pictures ({board.calibration.data}). {warning}"
        note = f"⚠️ {board.calibration.note}." if board.calibration.note else ""
        trained = training_warning(board.model.info.provenance, joint=board.calibration.judge == JOINT)
        return "\n\n".join(filter(None, [compared, trained, note]))
    reason = f" ({board.problem})" if board.problem else ""
    return f"⚠️ **This model has no calibration**{reason}: its energies are shown raw, without verdicts. {warning}"


def glossary(board: Board) -> str:
    """What each score of the model is, as a Markdown list."""
    assert board.model is not None
    judges = judges_of(board.model, board.calibration).values()
    return "\n".join(f"- **{judge.label}**: {judge.purpose}" for judge in judges)


def purpose(board: Board) -> str:
    """What the judging score is, and how often the model's report found it right, as Markdown."""
    assert board.model is not None
    judge = judge_of(board)
    return "\n\n".join(filter(None, [judge.purpose, reported(board.model.path, board.model.fingerprint, judge.name)]))


def summary(board: Board) -> str:
    """How many pictures there are and what was found out about them, in one line of Markdown."""
    if not board.entries:
        return "No pictures yet: drop some, or take the examples."
    scored = [entry.scored for entry in board.entries if entry.scored]
    bad = sum(bool(entry.problem) for entry in board.entries)
    parts = [f"**{_count(len(scored))} scored**"]
    if board.calibration is not None and scored:
        unusual = sum(verdict_of(board, one).unusual for one in scored)
        parts.append(f"**{unusual} unusual** by {judge_of(board).label.lower()} (above {threshold_of(board):.5g})")
    if bad:
        parts.append(f"{bad} could not be scored")
    if board.left_out:
        parts.append(f"⚠️ {MAX_PICTURES} pictures are the most at once: {board.left_out} more were left out")
    return " · ".join(parts)


def _count(num: int) -> str:
    return f"{num} picture{'' if num == 1 else 's'}"


def plot(board: Board) -> go.Figure:
    """Where the board's pictures stand among the held-out ones."""
    assert board.model is not None
    judge = judge_of(board)
    marks = [
        Mark(_label(number, entry, 22), entry.scored.scores[judge.name], verdict_of(board, entry.scored).kind)
        for number, entry in enumerate(board.entries, 1)
        if entry.scored
    ]
    return score_plot(board.calibration, judge.name, judge.label, threshold_of(board), marks)


def _label(number: int, entry: Entry, width: int = MAX_NAME) -> str:
    name = entry.name if len(entry.name) <= width else entry.name[: width - 1] + "…"
    return f"{number} · {name}"


def choices(board: Board) -> list[tuple[str, int]]:
    """The pictures that have been scored, the highest energy first: what they are called, and their numbers."""
    scored = [(number, entry, entry.scored) for number, entry in enumerate(board.entries, 1) if entry.scored]
    scored.sort(key=lambda entry: -entry[2].scores["energy"])
    return [(_label(number, entry), number) for number, entry, _ in scored]


def cards(board: Board) -> str:
    """The first pictures, large, as HTML."""
    large = [_card(board, number, entry) for number, entry in enumerate(board.entries[:MAX_CARDS], 1)]
    more = len(board.entries) - MAX_CARDS
    rest = f"<p>The other {_count(more)} are in the table below.</p>" if more > 0 else ""
    if not large:
        return ""
    assert board.model is not None
    space = board.model.space
    legend = CODED_LEGEND.format(side=space.shape[1]) if space.is_coded else LEGEND
    wide = " score-wide" if space.is_coded else ""
    return f'<p class="score-legend">{legend}</p><div class="score-cards{wide}">{"".join(large)}</div>{rest}'


def _card(board: Board, number: int, entry: Entry) -> str:
    title = f"<h2>{html.escape(_label(number, entry))}</h2>"
    if entry.scored is None:
        words = f"not scored: {html.escape(entry.problem)}" if entry.problem else "waiting"
        return f'<div class="score-card">{title}<p class="score-verdict">{words}</p></div>'
    scored = entry.scored
    verdict = verdict_of(board, scored)
    assert board.model is not None
    smooth = board.model.space.is_coded
    pictures = "".join(
        image_tag(data, f"{entry.name}, {what}", "score-picture", smooth=smooth) for what, data in scored.shown.items()
    )
    notes = f'<p class="score-notes">{html.escape("; ".join(scored.picture.notes))}</p>' if scored.picture.notes else ""
    button = f'<button class="score-pull" data-number="{number}">Pull it back</button>'
    return (
        f'<div class="score-card score-{verdict.kind}">{title}<div class="score-pictures">{pictures}</div>'
        f'<p class="score-verdict">{_emphasised(verdict)}</p>{_terms(board, scored)}{notes}{button}</div>'
    )


def _emphasised(verdict: Verdict) -> str:
    return html.escape(verdict.words).replace(verdict.short, f"<b>{verdict.short}</b>", 1)


def _terms(board: Board, scored: Scored) -> str:
    """The energy, its terms, a few other scores and the judging one with their percentiles, as HTML."""
    assert board.model is not None
    chosen = judge_of(board).name
    lines = []
    for name, judge in judges_of(board.model, board.calibration).items():
        if name == chosen or name.startswith(TERMS):
            share = ""
            if name in scored.percentiles:
                share = f"<td>{100 * scored.percentiles[name]:.1f} %</td>"
            elif judge.constant:
                share = '<td title="it is the same for all held-out pictures">—</td>'
            label = f"<b>{judge.short}</b>" if name == chosen else judge.short
            lines.append(f"<tr><td>{label}</td><td>{scored.scores[name]:.5g}</td>{share}</tr>")
    percentile = "<th>lower</th>" if board.calibration is not None else ""
    return f'<table class="score-terms"><tr><th>score</th><th>value</th>{percentile}</tr>{"".join(lines)}</table>'


def table(board: Board) -> dict[str, Any]:
    """All pictures: headers, and a row for each. Numbers are numbers, so that they sort as such."""
    assert board.model is not None
    judges = judges_of(board.model, board.calibration)
    chosen = judge_of(board).name
    rows: list[list[Any]] = []
    for number, entry in enumerate(board.entries, 1):
        scored, name = entry.scored, entry.name[:MAX_NAME]
        if scored is None:
            state = "not scored" if entry.problem else "waiting"
            rows.append([number, name, state, None, entry.problem, *[None] * len(judges)])
            continue
        share = round(100 * scored.percentiles[chosen], 1) if chosen in scored.percentiles else None
        values = (float(f"{scored.scores[judge]:.5g}") for judge in judges)
        notes = "; ".join(scored.picture.notes)
        rows.append([number, name, verdict_of(board, scored).short, share, notes, *values])
    labels = [judge.short for judge in judges.values()]
    return {"headers": ["#", "picture", "verdict", "% lower", "notes", *labels], "data": rows}


def csv_text(board: Board) -> str:
    """All pictures with all scores and percentiles, what judged them and at which rate."""
    assert board.model is not None
    names = list(judges_of(board.model, board.calibration))
    judge = judge_of(board).name
    out = io.StringIO()
    writer = csv.writer(out)
    shares = [f"{name}_percentile" for name in names] if board.calibration is not None else []
    writer.writerow(
        ["number", "file", "model", "fingerprint", "judge", "false_alarm_rate", "verdict", *names, *shares, "notes"]
    )
    for number, entry in enumerate(board.entries, 1):
        scored = entry.scored
        verdict = verdict_of(board, scored).short if scored else "not scored"
        values: list[float | str] = [scored.scores[name] if scored else "" for name in names]
        if shares:
            values += [scored.percentiles.get(name, "") if scored else "" for name in names]
        rate = board.rate if board.calibration is not None else ""
        notes = "; ".join(scored.picture.notes) if scored else entry.problem
        model = board.model
        row = [number, entry.name, model.name, model.fingerprint, judge, rate, verdict, *values, notes]
        writer.writerow([spreadsheet_text(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def csv_link(board: Board) -> str:
    """The CSV as a link; its bytes travel in the page, so that no file is left behind."""
    if not board.entries:
        return ""
    assert board.model is not None
    data = base64.b64encode(csv_text(board).encode()).decode()
    return (
        f'<a class="score-csv" download="scores-{html.escape(board.model.name)}.csv" '
        f'href="data:text/csv;charset=utf-8;base64,{data}">Download as CSV</a>'
    )
