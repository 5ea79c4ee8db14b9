"""The tab that scores a person's own pictures: model and pictures on the left, histogram and judge on the right."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from gradio.components import Component

from app import score_view, scoring
from app.board import Board
from app.catalog import Catalog
from app.chain_buttons import build_buttons, wire
from app.chain_view import build_chain_view
from app.events import EACH, NEWEST
from app.inputs import build_model
from app.limits import SCORE_LIMITS
from app.score_script import PULL, TAKE, TO_PULLING, UPLOADED
from app.score_view import Shown, about, glossary, show
from app.session import Session, View
from app.tab import Tab
from app.tabs.detector import build_detector_section
from app.verdicts import judge_of, judges_of

INTRO = """*Has the model ever seen anything like this?* It gives every picture an energy, and what that means shows
beside **held-out pictures** of the same kind as its training data: an energy above almost all of theirs is unusual."""
PULLING = "Langevin steps from the picture itself: downhill to something that the model knows."
WIDTHS: list[str | int] = ["50px", "200px", "110px", "80px", "260px", *["120px"] * 8]  # of the table's columns


def build_scoring_tab(catalog: Catalog, session: gr.State) -> None:
    """Place the tab's components and wire them."""
    names = catalog.names()
    first = Board()
    # A verdict needs a calibration: a model with one comes first.
    chosen = next((name for name in names if catalog.get(name).info.calibration), names[0])
    first.choose(catalog.get(chosen))
    empty = show(first)
    build_detector_section(catalog, session)
    gr.Markdown(INTRO)
    with gr.Row(elem_classes="stage", elem_id="scoring"):
        with gr.Column(elem_classes="stage-left stage-ask"):
            model = build_model(names, chosen, "score-model")
            comparison = gr.Markdown(about(first), elem_id="score-about", elem_classes="aside")
            files = gr.File(
                label="Drop or paste pictures",
                file_count="multiple",
                height=140,
                elem_id="score-files",
            )
            taken = gr.HTML(f'<p class="score-limits">{SCORE_LIMITS}</p>', js_on_load=TAKE, elem_id="score-limits")
            with gr.Row():
                examples = gr.Button("Take the examples", min_width=120, elem_id="score-examples")
                clear = gr.Button("Clear", min_width=80, elem_id="score-clear")
        with gr.Column(elem_classes="stage-right stage-picture"):
            status = gr.Markdown(empty.status, elem_id="score-status", elem_classes="live-status")
            plot = gr.Plot(empty.plot, show_label=False, elem_id="score-plot")
            with gr.Row():
                with gr.Column(min_width=240):
                    judging, judges = judge_of(first).name, _judges(first)
                    judge = gr.Dropdown(judges, value=judging, label="Judged by", elem_id="score-judge")
                    purpose = gr.Markdown(score_view.purpose(first), elem_id="score-purpose", elem_classes="aside")
                rate = gr.Slider(
                    0.5,
                    50,
                    100 * first.rate,
                    step=0.5,
                    label="False alarms in percent",
                    min_width=240,
                    info="so many of the held-out pictures are called unusual too",
                    elem_id="score-rate",
                    interactive=first.calibration is not None,
                )
    cards = gr.HTML("", js_on_load=PULL, elem_id="score-cards")
    with gr.Column(elem_classes="score-results"):
        table = gr.Dataframe(
            empty.table,
            label="All pictures: press a heading to sort",
            interactive=False,
            max_height=420,
            wrap=True,
            column_widths=WIDTHS,
            elem_id="score-table",
        )
        link = gr.HTML("", elem_id="score-csv")
        with gr.Accordion("What the scores are", open=False, elem_id="score-help"):
            meaning = gr.Markdown(glossary(first))
        gr.Markdown(f"## Pull it back\n{PULLING}", elem_id="score-pulling")
        with gr.Row(elem_classes="stage", elem_id="pulling"):
            with gr.Column(elem_classes="stage-left stage-ask"):
                with gr.Row(elem_classes=["picking", "pulling-opening"]):
                    picture = gr.Dropdown([], label="Picture", elem_id="score-picture")
                    opened = gr.UploadButton("Open", elem_id="score-open")
                steps = gr.Slider(
                    10, 1000, 200, step=10, label="Langevin steps", info="down the slope", elem_id="score-steps"
                )
                buttons = build_buttons("Pull it back", "score-pull", "score-")
            with gr.Column(elem_classes="stage-right"):
                view = build_chain_view(
                    session,
                    "score-",
                    "Pull it back",
                    "a picture walk downhill to one that the model knows",
                    "Nothing pulled back yet.",
                )

    outputs = [status, plot, cards, table, link, picture]

    def updates(item: Shown) -> dict[Component, Any]:
        values = {status: item.status, plot: item.plot, cards: item.cards, table: item.table, link: item.csv}
        if item.choices is not None:
            values[picture] = _picking(item.choices, item.finished)
        return {component: value for component, value in values.items() if value is not None}

    def on_score(current: Session) -> Iterator[dict[Component, Any]]:
        for item in scoring.score(current):
            yield updates(item)

    def taking(take: Callable[[Board, Any], None]) -> Callable[..., None]:
        def handler(current: Session, name: str, given: Any = None) -> None:
            scoring.choose(current.board, catalog, name)
            take(current.board, given)

        return handler

    def on_kept(current: Session, name: str, event: gr.EventData) -> None:
        taking(scoring.take_refused)(current, name, event.kept)

    def on_model(current: Session, name: str) -> dict[Component, Any]:
        scoring.choose(current.board, catalog, name)
        judging = judge_of(current.board)
        calibrated = current.board.calibration is not None
        return {
            comparison: about(current.board),
            meaning: glossary(current.board),
            judge: gr.Dropdown(_judges(current.board), value=judging.name),
            purpose: score_view.purpose(current.board),
            rate: gr.Slider(interactive=calibrated),
        }

    def on_judge(current: Session, model: str, name: str, percent: float) -> dict[Component, Any]:
        scoring.choose(current.board, catalog, model)
        item = scoring.judge(current, name, percent)
        return {purpose: score_view.purpose(current.board)} | updates(item)

    events = [
        # A drop zone stays one: what was dropped shows in the table, and more may come.
        files.upload(taking(scoring.take_files), [session, model, files], files, js=UPLOADED, **EACH),
        taken.input(on_kept, [session, model], None, **EACH),
        examples.click(taking(lambda board, _: scoring.take_examples(board)), [session, model], None, **EACH),
        clear.click(taking(lambda board, _: board.clear()), [session, model], None, **EACH),
        # A dropdown tells of an input twice, and when it is merely left; of a change once.
        model.change(on_model, [session, model], [comparison, meaning, judge, purpose, rate], **NEWEST),
    ]
    for event in events:
        event.then(on_score, session, outputs, **EACH)
    gr.on([judge.input, rate.input], on_judge, [session, model, judge, rate], [purpose, *outputs], **NEWEST)

    def on_pull(current: Session, number: int | None, steps: float) -> Iterator[View]:
        yield from scoring.pull_back(current, number, steps)

    def on_card(event: gr.EventData) -> int:
        return int(event.number)

    def on_opened(current: Session, path: str) -> int:
        return scoring.number_of(current.board, path)

    pulling = wire(buttons, view, session, on_pull, [picture, steps])
    pulling.on(cards.click(on_card, None, picture, **EACH).then)
    taken_one = opened.upload(
        taking(lambda board, path: scoring.take_files(board, [path])), [session, model, opened], None, **EACH
    )
    scored = taken_one.then(on_score, session, outputs, **EACH)
    chosen_one = scored.success(on_opened, [session, opened], picture, **EACH)
    chosen_one.success(None, None, None, js=TO_PULLING)
    pulling.on(chosen_one.success)


def _picking(choices: list[tuple[str, int]], finished: bool) -> gr.Dropdown:
    """The choices with the first one chosen; while more are to come, whatever a person has chosen among them stays."""
    if not choices:
        return gr.Dropdown(choices, value=None)
    return gr.Dropdown(choices, value=choices[0][1]) if finished else gr.Dropdown(choices)


def _judges(board: Board) -> list[tuple[str, str]]:
    assert board.model is not None
    judges = judges_of(board.model, board.calibration).values()
    return [(judge.label, judge.name) for judge in judges if not judge.constant]


TAB = Tab("Score", build_scoring_tab)
