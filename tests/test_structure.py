"""app -> ebm_core <- train: the core imports neither, and app and train never import each other."""

import ast
import gc
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def parse(path: Path) -> ast.Module:
    """A module's syntax. Python 3.11 trips over a garbage collection in the midst of it (gh-106905)."""
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def imports(package):
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(parse(path)):
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


def imported_modules(path, modules):
    """Names of the house's modules that a file imports as it is imported itself, not inside a function."""
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    waiting, names = list(parse(path).body), set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            # What is no module is a name of the module it is imported from.
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part if part in modules else node.module for part in parts}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse  # the rest is only for the type checker
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return name, names & modules


def circle(edges):
    """A list of names, the first one also last, each of which leads to the next; none where there is no such list."""
    done = set()

    def walk(name, above):
        if name in above:
            return [*above[above.index(name) :], name]
        if name in done:
            return []
        ways = (walk(other, [*above, name]) for other in sorted(edges.get(name, ())))
        way = next(filter(None, ways), [])
        done.add(name)
        return way

    return next(filter(None, (walk(name, []) for name in sorted(edges))), [])


def test_circles_are_seen():
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == ["b", "c", "d", "b"]


def test_no_module_imports_itself_by_way_of_others():
    paths = [path for package in ("ebm_core", "app", "train") for path in (ROOT / package).rglob("*.py")]
    dotted = (path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in paths)
    modules = {name.removesuffix(".__init__") for name in dotted}
    edges = dict(imported_modules(path, modules) for path in paths)
    assert "train.data.cifar" in edges["train.data.sources"]  # by ``from train.data import cifar``
    assert circle(edges) == []


def test_only_hub_touches_the_network():
    users = [p.name for p in (ROOT / "ebm_core").rglob("*.py") if "huggingface_hub" in p.read_text()]
    assert users == ["hub.py"]


def test_only_files_replaces_files():
    modules = [p for package in ("ebm_core", "train", "app", "benchmarks") for p in (ROOT / package).rglob("*.py")]
    assert [p.name for p in modules if re.search(r"mkstemp|os\.replace\(", p.read_text())] == ["files.py"]


def test_files_are_decoded_in_one_place():
    users = {
        str(path.relative_to(ROOT))
        for package in ("ebm_core", "train", "app")
        for path in (ROOT / package).rglob("*.py")
        if "Image.open(" in path.read_text()
    }
    # Beside the decoder: PNGs of our own and the settings in them, and pictures that these two have just made.
    assert users - {"ebm_core/images.py", "train/evaluate/ood_sets.py", "train/objects/blender.py"} == {
        "ebm_core/pictures.py"
    }


def test_nothing_is_unpickled_freely():
    for package in ("ebm_core", "train", "app"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(parse(path)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                    assert any(k.arg == "weights_only" and k.value.value is True for k in node.keywords), path


def test_a_page_and_a_scorer_load_no_compiler():
    code = (
        "import sys; from pathlib import Path; from app.catalog import Catalog; from app.ui import build_ui; "
        "import train.score.command, train.score.engine; build_ui(Catalog(Path('weights'))); "
        "print(*(name for name in sys.modules if name.startswith(('ebm_core', 'torch', 'sympy'))))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    loaded = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
    assert {"torch", "ebm_core.codec"} <= loaded
    # Together a third of the memory of a process without them, and seconds of its start.
    assert not loaded & {"torchvision", "torch._dynamo", "sympy"}
