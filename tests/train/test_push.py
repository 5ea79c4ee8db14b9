"""Models go to a stand-in for the Hub and come back the same; what goes wrong is a sentence without a token."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants
from PIL import Image

from ebm_core import api, hub
from ebm_core.checkpoint import CheckpointError, load_model, save_model
from ebm_core.classifier import Classifier, ClassifierConfig, save_classifier
from ebm_core.hub import belongings, find_model, open_space
from tests.app.conftest import ATTRIBUTES, save_tiny_family
from tests.hub_server import TOKEN, hub_server
from tests.latents import save_latent, save_random_codec
from train.__main__ import main

# The library uploads files in a way that its own client calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ROOT = Path(__file__).parents[2]
REPO = "maria/tiny"
METRICS = {
    "figures": {
        "frechet": {
            "features": "tiny-net",
            "distance": 12.25,
            "num_samples": 10,
            "num_test": 20,
            "read_on": {"kind": "test", "file": "t.zip"},
        },
        "ood": {
            "in_distribution": {"title": "Home"},
            "sets": [
                {"title": "Away", "detection": {"energy": {"auroc": 0.75}, "typicality": {"auroc": 0.5}}},
                {"title": "Absent", "not_run": "no file"},
            ],
        },
    },
}


@pytest.fixture(scope="module")
def running():
    with hub_server() as server:
        yield server


@pytest.fixture
def server(running, tmp_path, monkeypatch):
    """The stand-in, emptied, and the library pointed to it as HF_ENDPOINT, HF_HOME and HF_TOKEN do at its start."""
    running.repos.clear()
    running.broken = ""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the library tries some requests again
    for name, value in {
        "ENDPOINT": running.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": running.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "AGENT_HARNESSES_PATH": str(tmp_path / "harnesses"),
        "HF_HUB_DISABLE_XET": True,  # the Hub's storage by chunks has a server and a protocol of its own
    }.items():
        monkeypatch.setattr(constants, name, value)
    return running


@pytest.fixture
def weights(tmp_path):
    """A family, and a model of latents with all that a folder has."""
    folder = tmp_path / "weights"
    save_tiny_family(folder)
    save_latent(folder / "latent", save_random_codec(folder / "tiny-codec"), family="cats128")
    (folder / "tiny-codec" / "README.md").write_text("Its [terms](../../terms.md).")
    (folder / "latent" / "README.md").write_text("# latent\n\n[Codec](../tiny-codec/README.md), [of](../../x.md).\n")
    (folder / "latent" / "metrics.json").write_text(json.dumps(METRICS))
    Image.new("RGB", (8, 8)).save(folder / "latent" / "samples.webp")
    return folder


def push(weights, name, *options, repo=REPO):
    return main(["push", name, repo, "--weights", str(weights), *options])


def energies(path):
    net, info = load_model(path)
    space = open_space(info.space, info.net, model=path)
    x = torch.rand(2, *space.picture_shape, generator=torch.Generator().manual_seed(1))
    return net(space.encode(x))


def test_what_is_pushed_comes_back(server, weights, capsys):
    assert push(weights, "latent") == 0, capsys.readouterr().err
    name = capsys.readouterr().out.split()[-1]
    assert re.fullmatch(r"hf:maria/tiny@[0-9a-f]{40}", name)
    files = server.files(REPO)
    notes = ["README.md", "codec.md", "config.json", "metrics.json", "samples.webp"]
    assert sorted(files) == sorted(["codec.safetensors", "model.safetensors", *notes])
    path = find_model(name)
    assert path.parent.name == name.split("@")[1]
    assert torch.equal(energies(path), energies(weights / "latent" / "model.safetensors"))
    assert api.sample(name, num=1, device="cpu").recipe.model == name

    assert files["codec.md"] == b"Its terms."
    config = json.loads(files["config.json"])
    assert config["space"]["codec"] == "tiny-codec"
    assert config["net"]["image_size"] == 8
    assert "calibration" not in config


def test_the_card_has_what_was_measured_and_no_more(server, weights):
    assert push(weights, "latent") == 0
    card = ModelCard(server.files(REPO)["README.md"].decode())
    assert card.data.library_name == "ebm-studio"
    assert card.data.pipeline_tag == "unconditional-image-generation"
    assert "energy-based-model" in card.data.tags
    assert card.data.license == "cc-by-nc-4.0"
    assert card.data.datasets is None
    assert card.data.thumbnail == f"{server.url}/maria/tiny/resolve/main/samples.webp"
    values = {(r.dataset_name, r.metric_type, r.metric_value) for r in card.data.eval_results}
    assert values == {("t.zip", "frechet_distance", 12.25), ("Away", "roc_auc", 0.75)}
    assert "[Codec](codec.md), of." in card.text
    assert "[a card of its own](codec.md), whose terms hold too" in card.text
    assert 'sample("hf:maria/tiny", num=4)' in card.text
    assert "hf download maria/tiny --local-dir weights/latent\n" in card.text


def test_a_model_from_the_hub_is_pushed_on(server, weights):
    assert push(weights, "latent") == 0
    for name, content in server.files(REPO).items():
        (weights / "again" / name).parent.mkdir(exist_ok=True)
        (weights / "again" / name).write_bytes(content)
    (weights / "again" / "metrics.json").write_text(json.dumps({"figures": {}}))
    assert push(weights, "again", repo="maria/again") == 0
    card = ModelCard(server.files("maria/again")["README.md"].decode())
    assert card.data.eval_results is None
    assert "maria/again/" in card.data.thumbnail
    assert card.text.count("## Use") == 1
    for name in ("codec.safetensors", "codec.md", "model.safetensors"):
        assert server.files("maria/again")[name] == server.files(REPO)[name]


def test_an_own_header_counts_before_ours(server, weights):
    (weights / "tiny" / "README.md").write_text("---\nlicense: apache-2.0\nlanguage: en\n---\n# Mine\n")
    assert push(weights, "tiny") == 0
    card = ModelCard(server.files(REPO)["README.md"].decode())
    assert (card.data.license, card.data.language, card.data.library_name) == ("apache-2.0", "en", "ebm-studio")
    assert card.data.eval_results is None
    assert card.text.lstrip().startswith("# Mine")


def test_a_folder_without_a_card_and_a_classifier_of_its_family(server, weights):
    classifier = Classifier(ClassifierConfig((ATTRIBUTES["bright"],)))
    save_classifier(weights / "tiny" / "classifier.safetensors", classifier)
    assert push(weights, str(weights / "tiny-bright")) == 0
    files = server.files(REPO)
    assert sorted(files) == ["README.md", "classifier.safetensors", "config.json", "model.safetensors"]
    card = ModelCard(files["README.md"].decode())
    assert (card.data.license, "bright" in card.data.tags) == (None, True)
    assert "# tiny-bright" in card.text
    assert "sample(" not in card.text  # it wants a label
    loose = weights / "loose.safetensors"
    loose.write_bytes((weights / "tiny" / "model.safetensors").read_bytes())
    assert list(belongings(loose)) == ["model.safetensors"]


def test_a_revision_is_a_pin(server, weights, capsys):
    assert push(weights, "tiny", "--revision", "v/1") == 0
    first = capsys.readouterr().out.split()[-1]
    assert server.files(REPO) == {}  # main is as it was
    path = weights / "tiny" / "model.safetensors"
    before = energies(path)
    net, info = load_model(path)
    save_model(path, {key: value + 0.1 for key, value in net.state_dict().items()}, replace(info, family=""))
    assert push(weights, "tiny") == 0
    assert torch.equal(energies(find_model("hf:maria/tiny@v/1")), before)
    assert torch.equal(energies(find_model(first)), before)
    assert torch.equal(energies(find_model("hf:maria/tiny")), energies(path))
    with pytest.raises(CheckpointError, match="maria/tiny has no revision 'v2'; give a branch"):
        find_model("hf:maria/tiny@v2")


def test_without_a_network_the_cache_serves(server, weights, monkeypatch, capsys):
    assert push(weights, "latent") == 0
    name = capsys.readouterr().out.split()[-1]
    path = find_model("hf:maria/tiny")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}")
    assert find_model("hf:maria/tiny") == find_model(name) == path
    with pytest.raises(
        CheckpointError, match=r"^127.0.0.1 cannot be reached, and maria/tiny@v2 is not in this machine"
    ):
        find_model("hf:maria/tiny@v2")
    assert push(weights, "tiny") == 2
    assert "error: 127.0.0.1 cannot be reached (ConnectError); try again" in capsys.readouterr().err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_model("hf:maria/tiny") == path
    with pytest.raises(CheckpointError, match="cannot be reached, and maria/other is not in this machine"):
        find_model("hf:maria/other")


def test_private_is_never_public(server, weights, capsys):
    assert push(weights, "tiny", "--private") == 0
    assert server.repos[REPO]["private"]
    server.repos[REPO]["private"] = False
    before = server.files(REPO)
    assert push(weights, "latent", "--private") == 2
    assert "maria/tiny is there already and everybody can read it" in capsys.readouterr().err
    assert server.files(REPO) == before


@pytest.mark.parametrize(
    ("token", "broken", "repo", "sentence"),
    [
        ("hf_wrong", "", REPO, "127.0.0.1 does not know this token; give it one that is valid"),
        ("hf_wrong\x01", "", REPO, "the token has characters that no token has"),
        ("", "", REPO, "nobody is logged in"),
        (TOKEN, "", "others/tiny", "127.0.0.1 does not let this token do that to others/tiny"),
        (TOKEN, "/commit/", REPO, "127.0.0.1 answered 500 about maria/tiny: out of order, says your (the token)"),
        (TOKEN, "/lfs/", REPO, "127.0.0.1 answered 500 about maria/tiny: out of order, says your"),
        (TOKEN, "", "maria--x/..", "is no name of a repository"),
        (TOKEN, "", "tiny", "argument repo: must be owner/repo"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence(token, broken, repo, sentence, server, weights, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", token)
    server.broken = broken
    kept = {path: path.read_bytes() for path in weights.rglob("*.*")}
    assert push(weights, "tiny", repo=repo) == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert len([line for line in err.splitlines() if line.startswith("error:")]) == 1
    assert "hf_" not in out + err
    assert not server.repos or server.files(REPO) == {}
    assert {path: path.read_bytes() for path in weights.rglob("*.*")} == kept


@pytest.mark.parametrize(
    ("name", "file", "content", "sentence"),
    [
        ("tyni", "", b"", "no model 'tyni': give one of the shipped models (latent, tiny,"),
        ("hf:maria/other", "", b"", "'hf:maria/other' is on the Hub already"),
        ("latent", "latent/model.safetensors", b"", "an empty file; fetch or export it again"),
        ("latent", "tiny-codec/codec.safetensors", b"", "an empty file; fetch or export it again"),
        ("latent", "latent/README.md", b"---\na: [\n---\n", "is no YAML that can be read"),
        ("latent", "latent/metrics.json", b'{"figures": {"frechet": {}}}', "metrics.json cannot be read"),
    ],
)
def test_nothing_is_sent_of_a_model_that_is_not_whole(name, file, content, sentence, server, weights, capsys):
    if file:
        (weights / file).write_bytes(content)
    assert push(weights, name) == 2
    assert sentence in capsys.readouterr().err
    assert server.repos == {}


def test_what_is_not_there_is_a_sentence(server, weights, monkeypatch):
    assert push(weights, "latent") == 0
    with pytest.raises(CheckpointError, match=r"^127.0.0.1 knows no maria/other that you may read; check the name"):
        find_model("hf:maria/other")
    del server.files(REPO)["codec.safetensors"]
    with pytest.raises(CheckpointError, match=r"has no codec.safetensors: it is no model of this program"):
        find_model("hf:maria/tiny")
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    with pytest.raises(CheckpointError, match="does not know this token"):
        find_model("hf:maria/tiny@main")


def test_the_variable_leads_there(running, weights, tmp_path, monkeypatch):
    """As a person pushes: a process of its own, led by the environment alone."""
    running.repos.clear()
    running.broken = ""
    monkeypatch.setattr(hub, "WEIGHTS", weights)
    variables = {"HF_ENDPOINT": running.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "train", "push", "tiny", REPO, "--weights", str(weights)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert running.files(REPO)["model.safetensors"] == (weights / "tiny" / "model.safetensors").read_bytes()
