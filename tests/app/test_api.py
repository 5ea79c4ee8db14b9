"""The five endpoints of a running server, asked as a program does that knows no page."""

import asyncio
import base64
import io
import json
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from app import server, tools
from app.catalog import Catalog
from app.ui import build_ui
from ebm_core import api
from ebm_core.recipe import from_png
from tests.app.conftest import png, save_calibrated, save_tiny_family

# Gradio's own doing, in a thread of its server; a newer pandas no longer likes it.
pytestmark = pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")
PICTURE = base64.b64encode(png()).decode()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    save_tiny_family(folder)
    save_calibrated(folder, "scored")
    return folder


@pytest.fixture(scope="module")
def address(weights):
    page = build_ui(Catalog(weights))
    server.serve(page, "127.0.0.1", 0, prevent_thread_lock=True)
    yield page.local_url
    page.close()


@pytest.fixture(scope="module")
def client(address):
    client = Client(address, verbose=False)
    yield client
    client.close()


def test_five_endpoints_and_no_other(client):
    endpoints = client.view_api(print_info=False, return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/models", "/sample", "/compose", "/score", "/pull_back"}
    for name, endpoint in endpoints.items():
        assert endpoint["description"], name
    names = [[parameter["parameter_name"] for parameter in endpoints[name]["parameters"]] for name in sorted(endpoints)]
    assert names == [
        ["family", "wishes", "num", "seed"],
        [],
        ["picture", "model", "steps", "seed"],
        ["model", "num", "seed"],
        ["picture", "model", "false_alarm_rate"],
    ]
    scored = endpoints["/score"]["returns"][0]["type"]["properties"]
    assert scored["energy"] == {"type": "number"}
    with pytest.raises(ValueError, match="Cannot find a function"):
        client.predict(api_name="/open_session")


def test_they_answer_what_python_does(client, weights):
    there = {"weights": weights, "device": "cpu"}
    assert client.predict(api_name="/models") == api.models(weights)
    reply = client.predict("tiny", 2, 3, api_name="/sample")
    mine = api.sample("tiny", 2, 3, **there)
    assert reply["energies"] == pytest.approx(mine.energies, rel=1e-12)
    files = [base64.b64decode(picture) for picture in reply["pictures"]]
    assert files == [mine.png(0), mine.png(1)]
    assert from_png(files[1]).index == 1
    assert reply["recipe"]["seed"] == 3
    wishes = [{"attribute": "kind", "value": "ring", "weight": 0.5}]
    reply = client.predict(family="tiny", wishes=wishes, num=1, api_name="/compose")
    assert reply["energies"] == pytest.approx(api.compose("tiny", wishes, 1, **there).energies, rel=1e-12)
    reply = client.predict(PICTURE, "scored", 0.2, api_name="/score")
    assert reply == api.score(png(), "scored", 0.2, **there)._asdict()
    reply = client.predict(f"data:image/png;base64,{PICTURE}", "scored", 3, api_name="/pull_back")
    assert reply["energies"] == pytest.approx(api.pull_back(png(), "scored", 3, **there).energies, rel=1e-12)
    assert Image.open(io.BytesIO(base64.b64decode(reply["pictures"][0]))).size == (8, 8)


def test_the_documented_programs_run(address, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "programs.md").read_text()
    program = page.split("```python\n")[-1].partition("```")[0]
    assert "from gradio_client import Client" in program
    monkeypatch.chdir(tmp_path)
    exec(program.replace("http://127.0.0.1:7860", address.rstrip("/")).replace("cats128", "scored"), {})
    assert from_png((tmp_path / "cat.png").read_bytes()).model == "scored"
    assert "'energy': 0." in capsys.readouterr().out
    # The block for a shell that asks the page, its two requests in one go.
    blocks = [part.partition("```")[0] for part in page.split("```sh\n")[1:]]
    shell = next(block for block in blocks if "curl" in block).replace("http://127.0.0.1:7860", address.rstrip("/"))
    shell = shell.replace("faces128", "tiny").replace("smiling", "bright")
    if shutil.which("curl") and shutil.which("bash"):
        answer = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=True).stdout
        assert answer.startswith("event: complete")


def test_curl_gets_it_in_two_requests(address):
    def ask(path, body=None):
        headers = {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(address + path, data, headers), timeout=60) as answer:
            return answer.read().decode()

    event = json.loads(ask("gradio_api/call/v2/sample", {"model": "tiny", "num": 1}))["event_id"]
    answer = ask(f"gradio_api/call/sample/{event}")
    assert answer.startswith("event: complete\ndata: ")
    assert len(json.loads(answer.split("data: ")[1])[0]["energies"]) == 1


def test_what_cannot_be_done_is_a_sentence(client, tmp_path):
    (tmp_path / "secret").mkdir()
    for endpoint, arguments, message in [
        ("/sample", ("nope",), "there is no model 'nope' here; there are: "),
        ("/sample", (str(tmp_path / "secret"),), "there is no model '/"),
        ("/score", (PICTURE, "hf:owner/repo"), "there is no model 'hf:owner/repo' here"),
        ("/sample", ("tiny", 1000), "'num' must be a whole number from 1 to 64, got 1000"),
        ("/sample", ("tiny", "two"), "'num' must be a whole number from 1 to 64, got 'two'"),
        ("/compose", ("tiny", 5), "wishes are a list"),
        ("/score", ("/etc/passwd", "scored"), "'picture' is an image file in base64"),
        ("/score", (base64.b64encode(b"words").decode(), "scored"), "this is not an image that can be read here"),
        ("/pull_back", (PICTURE, "scored", 10**9), "'steps' must be a whole number from 1 to 5000"),
    ]:
        with pytest.raises(AppError) as error:
            client.predict(*arguments, api_name=endpoint)
        assert message in str(error.value), endpoint


def call_tools(address, *calls):
    """The tools, and the answer to each call."""

    async def run():
        url = f"{address}gradio_api/mcp/"
        async with (
            streamable_http_client(url) as (read, write, _),
            ClientSession(read, write) as client,
        ):
            await client.initialize()
            return await client.list_tools(), [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(run())


def test_language_models_have_the_five_endpoints_as_tools(address):
    listing, (known, samples, scored, refused) = call_tools(
        address,
        ("models", {}),
        ("sample", {"model": "tiny", "num": 2, "seed": 5}),
        ("score", {"picture": PICTURE, "model": "scored"}),
        ("sample", {"model": "nothing"}),
    )
    assert sorted(tool.name for tool in listing.tools) == ["compose", "models", "pull_back", "sample", "score"]
    assert all(tool.description for tool in listing.tools)

    assert "tiny-bright" in [model["name"] for model in json.loads(known.content[0].text)]
    *pictures, rest = samples.content
    assert [part.mimeType for part in pictures] == ["image/png"] * 2
    data = base64.b64decode(pictures[1].data)
    assert Image.open(io.BytesIO(data)).size == (8, 8)
    assert (from_png(data).seed, from_png(data).index) == (5, 1)
    assert len(json.loads(rest.text)["energies"]) == 2
    assert json.loads(scored.content[0].text)["unusual"] in (True, False)
    assert refused.isError
    assert "there is no model 'nothing' here; there are:" in refused.content[0].text


def test_without_the_package_the_page_is_the_same_without_tools(monkeypatch):
    monkeypatch.setattr(tools, "find_spec", lambda name: None)
    assert not tools.serve_tools()
