"""The page as a whole: a visitor's errors are sentences, and the server does not depend on how busy the machine is."""

import asyncio
import io
import socket
import urllib.request

import gradio as gr
import pytest
import torch
from gradio.state_holder import SessionState
from PIL import Image

from app import own, own_view, server
from app.__main__ import main
from app.catalog import Catalog
from app.present import encode_frame
from app.session import Session
from app.ui import Page, build_ui
from ebm_core.detector.fit import Progress
from tests.app.conftest import save_tiny_family


@pytest.fixture
def page():
    def refuse(number):
        if number == 1:
            raise ValueError("'Noise' must be a number, <b>got</b> 1")
        if number == 2:
            raise ZeroDivisionError("a fault of ours")
        return number

    with Page(analytics_enabled=False) as page:
        number = gr.Slider(0, 10)
        gr.Button().click(refuse, number, number)
    return page


@pytest.fixture
def all_tabs(tmp_path):
    save_tiny_family(tmp_path)
    return build_ui(Catalog(tmp_path))


def ask(page, value):
    return asyncio.run(page.process_api(page.fns[0], [value]))["data"]


def test_bad_input_is_a_sentence_without_a_traceback(page):
    assert ask(page, 3) == [3]
    for value, message in [
        (1, "'Noise' must be a number, &lt;b&gt;got&lt;/b&gt; 1"),
        (99, "what was entered cannot be used: Value 99 is greater than maximum value 10."),
        ("x", "what was entered cannot be used: "),
        (None, "what was entered cannot be used: "),
    ]:
        with pytest.raises(gr.Error) as error:
            ask(page, value)
        assert error.value.message.startswith(message)
        assert not error.value.print_exception
    with pytest.raises(ZeroDivisionError):  # only input is a visitor's
        ask(page, 2)


def test_a_generator_that_ends_does_not_send_its_last_update_again():
    """One whose place another has taken may end after that one's results are there."""

    def count():
        yield {number: 1}
        yield {}
        yield {words: "two"}

    with Page(analytics_enabled=False) as page:
        number, words = gr.Number(), gr.Textbox()
        gr.Button().click(count, None, [number, words])

    async def run():
        sent, iterator = [], None
        while not sent or iterator is not None:
            output = await page.process_api(page.fns[0], [], iterator=iterator, session_hash="one", event_id="one")
            iterator = output["iterator"] if output["is_generating"] else None
            sent.append(output["data"])
        return sent

    first, *later, end = asyncio.run(run())
    assert first == [1, gr.skip()]
    assert len(later) == 2
    assert end == [gr.skip(), gr.skip()]


def test_a_handler_without_updates_leaves_the_page_as_it_is():
    with Page(analytics_enabled=False) as page:
        gr.Button().click(dict, None, [gr.Number(), gr.Textbox()])
    assert asyncio.run(page.process_api(page.fns[0], []))["data"] == [gr.skip(), gr.skip()]


def value_events(page):
    """What listens to the values of components: functions, and the components and events of each."""
    events = [
        (one, [(page.blocks[block], event) for block, event in one.targets if event in ("input", "change", "upload")])
        for one in page.fns.values()
    ]
    return [(one, targets) for one, targets in events if targets]


def test_no_change_of_a_value_is_lost_or_overtaken(all_tabs):
    """Gradio drops an event of "once" while its last is dealt with, and waits only within one listener."""
    events = value_events(all_tabs)
    assert {one.trigger_mode for one, _ in events} == {"multiple", "always_last"}
    functions = [one.fn for one, _ in events if one.trigger_mode == "always_last"]
    assert len(set(functions)) == len(functions), "two listeners with one function can overtake each other"


def test_a_dropdown_that_is_left_changes_nothing(all_tabs):
    """Gradio tells of a dropdown's input when it is chosen and again whenever it loses the focus."""
    listeners = {
        (block.elem_id, event)
        for _, targets in value_events(all_tabs)
        for block, event in targets
        if isinstance(block, gr.Dropdown) and block.elem_id in ("model", "compose-preset", "score-model")
    }
    assert listeners == {("model", "input"), ("compose-preset", "input"), ("score-model", "change")}
    fill, recipe = (
        next(one for one, targets in value_events(all_tabs) if name in [block.elem_id for block, _ in targets])
        for name in ("model", "compose-preset")
    )
    model, preset = (next(b for b in all_tabs.blocks.values() if b.elem_id == name) for name in ("model", "preset"))
    settled = next(block for block in fill.outputs if isinstance(block, gr.State))
    assert fill.fn(model.value, preset.value, settled.value) == {}
    updates = fill.fn(model.value, "Wander", settled.value)
    assert updates[settled] == (model.value, "Wander")
    assert len(updates) == len(fill.outputs)
    assert fill.fn(model.value, "Wander", updates[settled]) == {}
    assert recipe.fn("tiny", None) == {}


def test_a_fit_that_was_stopped_says_so_after_its_last_progress(all_tabs, monkeypatch):
    progress = Progress("reading", 0.5, None)
    monkeypatch.setattr("app.own.learn", lambda *_: iter([progress]))  # as one that is stopped ends
    learn, stop = (next(f for f in all_tabs.fns.values() if f.name == name) for name in ("on_learn", "on_stop"))
    session = Session()
    own.queue(session.own)
    words = [list(update.values()) for update in learn.fn(session)]
    assert words[-2:] == [[own_view.progress_bar(progress)], ["<p>Stopped.</p>"]]
    assert stop.fn(session) == {}, "it may overtake the last progress"


def test_a_page_is_served_without_asking_itself(page, monkeypatch, capsys):
    def busy(*_, **__):
        raise AssertionError("the server asked itself whether it is there")

    monkeypatch.setattr("gradio.networking.url_ok", busy)
    server.serve(page, "127.0.0.1", 0, max_file_size=1000, prevent_thread_lock=True)
    try:
        address = capsys.readouterr().out.split("EBM Studio is on ")[1].split()[0]
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.status == 200
    finally:
        page.close()


def test_a_page_that_cannot_be_served_is_one_sentence(catalog, monkeypatch, capsys):
    monkeypatch.setattr("app.compute.give_cores_to_compute", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, message in [
            (["--port", "99999"], "argument --port: must be a whole number from 0 to 65535, got '99999'"),
            (["--device", "tpu"], "argument --device: must be cpu or cuda, got 'tpu'"),
            (["--weights", "nowhere"], "No model in nowhere can be used. There are none."),
            (["--weights", str(catalog.weights), "--port", port], f"cannot listen on 127.0.0.1, port {port}: "),
        ]:
            assert main([*arguments, "--device", "cpu"] if "--device" not in arguments else arguments) == 2
            error = capsys.readouterr().err
            assert error.startswith(f"error: {message}")
            assert len(error.splitlines()) == 1


def test_frames_of_all_sizes_lie_on_each_other():
    widths = []
    for side in (16, 64, 128):
        with Image.open(io.BytesIO(encode_frame(torch.zeros(12, 3, side, side)))) as image:
            widths.append((image.width / side, image.height / side))
    assert widths == [(4 + 5 / 16, 3 + 4 / 16)] * 3


def test_a_person_has_sessions_before_the_page_is_loaded(catalog):
    """A busy machine answers a button's press before it has opened the page's sessions."""
    page = build_ui(catalog)
    states = [one for one in page.blocks.values() if isinstance(one, gr.State) and isinstance(one.value, Session)]
    first, second = SessionState(page), SessionState(page)
    held = [first[state._id] for state in states]
    assert all(isinstance(one, Session) for one in held)
    assert all(first[state._id] is one for state, one in zip(states, held, strict=True))
    assert len({id(state[block._id]) for state in (first, second) for block in states}) == 2 * len(states)
