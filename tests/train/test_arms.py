"""Runs that differ in one thing, compared over seeds."""

import json

import pytest

from train.__main__ import main
from train.evaluate.arms import FRECHET, MEAN, margins, markdown, parse


def run(folder, auroc, distance, core_hours=0.2):
    (folder / "ood").mkdir(parents=True)
    (folder / "frechet").mkdir()
    detection = {"energy": {"auroc": auroc}}
    sets = [{"title": "textures", "detection": detection}, {"title": "not there", "not_run": "missing"}]
    ood = {"sets": sets, "mean_auroc": {"sets from files": {"energy": auroc}}}
    (folder / "ood" / "ood.json").write_text(json.dumps(ood))
    frechet = {"distance": distance, "num_samples": 150, "read_on": {"kind": "test", "file": "some.zip"}}
    (folder / "frechet" / "frechet.json").write_text(json.dumps(frechet))
    part = {"iterations": 7, "core_hours": core_hours, "commit": "abc", "machine": "a machine", "date": "today"}
    (folder / "history.json").write_text(json.dumps([{"old": "part"}, part]))
    return folder


def arm(tmp_path, name, aurocs, distances, **options):
    folders = [run(tmp_path / f"{name}{i}", *pair, **options) for i, pair in enumerate(zip(aurocs, distances))]
    return f"{name}={','.join(map(str, folders))}"


def test_an_effect_is_shown_where_every_seed_has_it_by_far(tmp_path):
    arms = dict(
        map(parse, [arm(tmp_path, "new", [0.6, 0.61, 0.62], [90, 300, 80]), arm(tmp_path, "old", [0.5] * 3, [95] * 3)])
    )
    words = margins(arms)["new against old"]
    assert words[MEAN].startswith("shown (margin +0.11, 95 % interval")
    assert words[FRECHET].startswith("not shown (margin -61.7")  # lower is better
    page = markdown("A title", arms, margins(arms))
    assert page.startswith("# A title\n")
    assert "| figure | new | old | new against old |\n" in page
    assert "| textures | 0.610 (0.600, 0.610, 0.620) | 0.500 (0.500, 0.500, 0.500) | shown (margin +0.11," in page
    assert f"| {FRECHET} | 157 (90, 300, 80) | 95 (95, 95, 95) | not shown (margin -61.7" in page
    assert "| iterations | 7, 7, 7 | 7, 7, 7 |  |\n" in page
    assert "Runs by abc, a machine, today.\n" in page


def test_each_further_arm_has_a_column(tmp_path):
    arms = dict(
        map(parse, (arm(tmp_path, n, [a] * 3, [9] * 3) for n, a in (("new", 0.6), ("old", 0.5), ("none", 0.7))))
    )
    words = margins(arms)
    assert [row["textures"].partition(",")[0] for row in words.values()] == [
        "shown (margin +0.1",
        "not shown (margin -0.1",
    ]
    assert "| figure | new | old | none | new against old | new against none |" in markdown("A title", arms, words)


def test_runs_put_to_other_sets_cannot_be_compared(tmp_path, capsys):
    new, old = (arm(tmp_path, n, [a] * 3, [9] * 3) for n, a in (("new", 0.6), ("old", 0.5)))
    (tmp_path / "old1" / "ood" / "ood.json").write_text(
        json.dumps({"sets": [], "mean_auroc": {"sets from files": {"energy": 0.5}}})
    )
    assert main(["evaluate", "arms", new, old, "--title", "T", "--out", str(tmp_path / "out"), "--allow-dirty"]) == 2
    assert "put to the same sets" in capsys.readouterr().err


def test_unequal_compute_shows_nothing(tmp_path):
    new, old = (arm(tmp_path, n, [a] * 3, [9] * 3, core_hours=h) for n, a, h in (("new", 0.6, 0.3), ("old", 0.5, 0.2)))
    assert "did not take equal compute" in margins(dict(map(parse, [new, old])))["new against old"][MEAN]


def test_runs_of_as_many_iterations_count_as_their_first(tmp_path):
    """Beside other work the same iterations take more time."""
    new, old = (arm(tmp_path, n, [a] * 3, [9] * 3) for n, a in (("new", 0.6), ("old", 0.5)))
    run(tmp_path / "slow", 0.5, 9, core_hours=0.4)
    old = f"{old.rpartition(',')[0]},{tmp_path / 'slow'}"
    assert margins(dict(map(parse, [new, old])))["new against old"][MEAN].startswith("shown (margin +0.1,")


def test_the_command_writes_a_page_and_its_figures(tmp_path, monkeypatch):
    arms = [arm(tmp_path, "new", [0.6], [90]), arm(tmp_path, "old", [0.5], [95])]
    assert main(["evaluate", "arms", *arms, "--title", "T", "--out", str(tmp_path / "out"), "--allow-dirty"]) == 0
    report = json.loads((tmp_path / "out" / "arms.json").read_text())
    assert report["arms"]["new"][0]["figures"] == {"textures": 0.6, MEAN: 0.6, FRECHET: 90}
    assert "not shown, one seed (1 of 1 with the effect)" in report["margins"]["new against old"][MEAN]
    assert str(tmp_path) not in report["provenance"]["command"]
    assert "Fewer seeds than three show nothing." in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        (["one={a}"], "two arms or more"),
        (["one={a}", "two={a},{a}"], "each with as many runs"),
        (["one", "two={a}"], "an arm is NAME=RUN"),
        (["one={a}", "two={a}/none"], "is no run with reports"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(tmp_path, capsys, arms, reason):
    folder = run(tmp_path / "a", 0.5, 90)
    options = ["--title", "T", "--out", str(tmp_path / "out"), "--allow-dirty"]
    assert main(["evaluate", "arms", *(text.format(a=folder) for text in arms), *options]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
