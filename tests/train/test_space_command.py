"""A folder laid out for the Hub's Spaces is whole: its entry imports and builds the page from that folder alone."""

import json
import os
import subprocess
import sys

from huggingface_hub import SpaceCard

from tests.app.conftest import save_tiny
from tests.latents import save_latent, save_random_codec
from train.__main__ import main
from train.space import LOCK, space_card

# The page is built and handed to the server, which would go on until it is stopped.
START = """
import json, runpy, app.server, ebm_core
def serve(page, host, port, *, names, framed, **look):
    models = next(block.choices for block in page.blocks.values() if "tiny" in str(getattr(block, "choices", "")))
    places = [app.server.__file__, ebm_core.__file__]
    print(json.dumps({"host": host, "names": names, "framed": framed, "models": models, "places": places}))
app.server.serve = serve
runpy.run_path("app.py", run_name="__main__")
"""


def test_the_entry_starts_in_its_folder_alone(tmp_path, capsys):
    weights, space = tmp_path / "weights", tmp_path / "space"
    save_tiny(weights, "tiny")
    save_tiny(weights, "other")
    save_latent(weights / "latent", save_random_codec(weights / "tiny-codec"))
    command = ["space", str(space), "tiny", "latent", "--weights", str(weights)]
    assert main(command) == 0, capsys.readouterr().err
    assert sorted(path.name for path in (space / "weights").iterdir()) == ["latent", "tiny", "tiny-codec"]
    assert (space / "requirements.txt").read_bytes() == LOCK.read_bytes()
    assert main(command) == 2
    assert "space is in use" in capsys.readouterr().err

    environment = {**os.environ, "SPACE_HOST": "maria-tiny.hf.space"}
    done = subprocess.run(
        [sys.executable, "-c", START], cwd=space, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    start = json.loads(done.stdout.splitlines()[-1])
    assert (start["host"], start["names"], start["framed"]) == ("0.0.0.0", ["maria-tiny.hf.space"], True)
    assert all(place.startswith(str(space)) for place in start["places"])
    assert "latent" in str(start["models"])
    assert "other" not in str(start["models"])


def test_nothing_is_laid_out_of_what_is_not_there(tmp_path, capsys):
    assert main(["space", str(tmp_path / "space"), "tyni", "--weights", str(tmp_path)]) == 2
    assert "no model 'tyni'" in capsys.readouterr().err
    assert not (tmp_path / "space").exists()


def test_the_header_says_what_it_runs_on_and_each_licence():
    card = SpaceCard(space_card(["objects", "objects128"]))
    assert (card.data.sdk, card.data.app_file, card.data.license) == ("gradio", "app.py", "mit")
    assert f"gradio=={card.data.sdk_version}\n" in LOCK.read_text()
    mixed = SpaceCard(space_card(["objects", "cats128", "mine"]))
    assert mixed.data.license is None
    assert "CC BY-NC 4.0" in mixed.text
    faces = SpaceCard(space_card(["faces"]))
    assert (faces.data.license, faces.data["license_name"]) == ("other", "celeba-dataset-release-agreement")
