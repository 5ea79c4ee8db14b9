"""The part of the Score tab that learns a visitor's own normal pictures and finds which others do not belong."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from gradio.components import Component

from app import own, own_view
from app.catalog import Catalog
from app.events import EACH, NEWEST
from app.limits import SCORE_LIMITS, ZIP_MIB
from app.session import Session
from ebm_core.detector.fit import Fit
from ebm_core.detector.gathering import ADVISED, FEWEST, MOST

WAITING = "<p>One detector is learned at a time: yours begins by itself.</p>"
STOPPED = "<p>Stopped.</p>"
# Dropped files stay when the page is closed: Gradio keeps equal ones of all visitors once, and another may need them.
INTRO = f"""*Which pictures do not belong among mine?* Drop {ADVISED} to {MOST:,} **normal** pictures ({FEWEST} are the
least), loose, as a folder, or as one zip of up to {ZIP_MIB / 1024:g} GiB. No outlier is needed. In minutes there is a
detector with a threshold, set by the fifth of them that is held out, and a map of where. The pictures stay on this
machine: the detector and what it says are forgotten when the page is closed, the pictures about an hour after they
came. The detector can be downloaded, and then scores a million files by `python -m train score`."""


def build_detector_section(catalog: Catalog, session: gr.State) -> None:
    """Place the section's components and wire them."""
    with gr.Accordion("My own pictures", open=False, elem_id="own"):
        gr.Markdown(INTRO)
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                normal = gr.File(
                    label="Normal pictures, or a zip", file_count="multiple", height=140, elem_id="own-normal"
                )
                folder = gr.UploadButton("Choose a folder", file_count="directory", elem_id="own-folder")
                have = gr.Markdown("", elem_id="own-have")
                with gr.Row():
                    learn = gr.Button("Learn", variant="primary", min_width=80, elem_id="own-learn")
                    stop = gr.Button("Stop", min_width=80, elem_id="own-stop")
                    forget = gr.Button("Forget", min_width=80, elem_id="own-forget")
                progress = gr.HTML("", elem_id="own-progress")
                take_away = gr.DownloadButton("Download the detector", visible=False, elem_id="own-download")
            with gr.Column(scale=3, min_width=340):
                about = gr.Markdown("", elem_id="own-about")
        with gr.Column(visible=False) as judging:
            with gr.Row():
                with gr.Column(scale=2, min_width=320):
                    files = gr.File(label="Pictures to judge", file_count="multiple", height=140, elem_id="own-files")
                    gr.HTML(f'<p class="score-limits">{SCORE_LIMITS}</p>')
                    rate = gr.Slider(0.5, 50, 5, step=0.5, label="False alarms in percent", elem_id="own-rate")
                    clear = gr.Button("Clear", min_width=80, elem_id="own-clear")
                with gr.Column(scale=3, min_width=340):
                    status = gr.Markdown("", elem_id="own-status")
                    plot = gr.Plot(show_label=False, elem_id="own-plot")
            cards = gr.HTML("", elem_id="own-cards")
            table = gr.Dataframe(
                headers=own_view.HEADERS, interactive=False, max_height=420, wrap=True, elem_id="own-table"
            )
            link = gr.HTML("", elem_id="own-csv")

    results: list[Component] = [status, plot, cards, table, link]

    def shown(current: Session, doing: str = "") -> dict[Component, Any]:
        mine = current.own
        if mine.detector is None:
            return {}
        updates = {status: own_view.status(mine, doing), cards: own_view.cards(mine), table: own_view.table(mine)}
        return updates | {plot: own_view.plot(mine), link: "" if doing else own_view.csv_link(mine)}

    def on_normal(current: Session, paths: list[str] | None) -> dict[Component, Any]:
        return {have: own.take_normal(current.own, paths or [])}

    def on_press(current: Session) -> dict[Component, Any]:
        own.queue(current.own)
        return {progress: WAITING}

    def on_learn(current: Session) -> Iterator[dict[Any, Any]]:
        if not own.turn(current.own):
            return
        yield {progress: "<p>Getting ready</p>"}
        try:
            for item in own.learn(current.own, catalog.device):
                if isinstance(item, Fit):
                    yield learned(current, item)
                    return
                yield {progress: own_view.progress_bar(item)}
        except ValueError:
            yield {progress: ""} | shown(current)
            raise
        yield {progress: WAITING if current.own.queued else STOPPED}

    def learned(current: Session, result: Fit) -> dict[Any, Any]:
        return {
            progress: f"<p>Learned from {result.account.num:,} pictures in {result.seconds:.0f} s.</p>",
            about: own_view.about(current.own),
            take_away: gr.DownloadButton(value=own.file_of(current.own), visible=True),
            judging: gr.Column(visible=True),
        } | shown(current)

    def on_learned(current: Session) -> Iterator[dict[Component, Any]]:
        """Pictures that were there before are judged anew; a stop holds for them too."""
        if current.own.runner is own.STOPPED or current.own.detector is None:
            yield shown(current)
        else:
            yield from on_judge(current)

    def on_stop(current: Session) -> dict[Component, Any]:
        # What runs says itself that it has stopped, after its last progress; what waits for its turn cannot.
        return {progress: STOPPED} if own.stop(current.own) else {}

    def on_forget(current: Session) -> dict[Any, Any]:
        current.own.close()
        hidden = {take_away: gr.DownloadButton(visible=False), judging: gr.Column(visible=False)}
        return {have: "", progress: "", about: "", status: "", cards: "", link: ""} | hidden

    def on_judge(current: Session) -> Iterator[dict[Component, Any]]:
        for doing in own.judge(current.own):
            yield shown(current, doing)

    def taking(take: Callable[[own.Own, Any], None]) -> Callable[..., None]:
        def handler(current: Session, paths: Any = None) -> None:
            take(current.own, paths)

        return handler

    def on_rate(current: Session, percent: float) -> dict[Component, Any]:
        own.set_rate(current.own, percent)
        return shown(current)

    for dropped in (normal, folder):
        # Thousands of names in a list help nobody: a sentence says how many there are.
        dropped.upload(on_normal, [session, dropped], have, **EACH).then(lambda: None, None, normal, **EACH)
    fit_run: dict[str, Any] = {"show_progress": "hidden", "concurrency_id": "fits", "concurrency_limit": 1}
    forget.click(on_forget, session, [have, progress, about, take_away, judging, *results], **EACH)
    stop.click(on_stop, session, progress, **EACH)
    judge_run: dict[str, Any] = {"show_progress": "hidden", "concurrency_id": "scores", "trigger_mode": "multiple"}
    pressed = learn.click(on_press, session, progress, **EACH)
    fitted = pressed.then(on_learn, session, [progress, about, take_away, judging, *results], **fit_run)
    fitted.success(on_learned, session, results, concurrency_limit=4, **judge_run)
    took = files.upload(taking(lambda mine, paths: own.take(mine, paths)), [session, files], files, **EACH)
    took.then(on_judge, session, results, concurrency_limit=4, **judge_run)
    clear.click(taking(lambda mine, _: own.clear(mine)), [session], None, **EACH).then(shown, session, results, **EACH)
    rate.input(on_rate, [session, rate], results, **NEWEST)
