"""app -> ebm_core <- train: the core imports neither, and app and train never import each other."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def imports(package):
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("ebm_core", {"app", "train", "gradio"}), ("app", {"train"}), ("train", {"app", "gradio"})],
)
def test_imports_follow_the_design(package, forbidden):
    found = imports(package)
    assert found, f"no imports read in {package}: is the folder there?"
    assert not found & forbidden


def test_only_hub_touches_the_network():
    users = [p.name for p in (ROOT / "ebm_core").rglob("*.py") if "huggingface_hub" in p.read_text()]
    assert users == ["hub.py"]


def test_only_files_replaces_files():
    modules = [p for package in ("ebm_core", "train", "app", "benchmarks") for p in (ROOT / package).rglob("*.py")]
    assert [p.name for p in modules if re.search(r"mkstemp|os\.replace\(", p.read_text())] == ["files.py"]


def test_files_are_decoded_in_one_place():
    users = {str(path.relative_to(ROOT)) for package in ("ebm_core", "train", "app") for path in (ROOT / package).rglob(
        "*.py") if "Image.open(" in path.read_text()}  # fmt: skip
    # Beside the decoder: settings in a PNG's text, and pictures that these two have just made themselves.
    assert users - {"ebm_core/images.py", "train/evaluate/ood_sets.py", "train/render_objects.py"} == {
        "ebm_core/pictures.py"
    }


def test_nothing_is_unpickled_freely():
    for package in ("ebm_core", "train", "app"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                    assert any(k.arg == "weights_only" and k.value.value is True for k in node.keywords), path
