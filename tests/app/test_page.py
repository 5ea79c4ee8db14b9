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

from app import server
from app.__main__ import main
from app.present import encode_frame
from app.session import Session
from app.ui import Page, build_ui


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
    states = [block for block in page.blocks.values() if isinstance(block, gr.State)]
    first, second = SessionState(page), SessionState(page)
    held = [first[state._id] for state in states]
    assert all(isinstance(one, Session) for one in held)
    assert all(first[state._id] is one for state, one in zip(states, held, strict=True))
    assert len({id(state[block._id]) for state in (first, second) for block in states}) == 2 * len(states)
