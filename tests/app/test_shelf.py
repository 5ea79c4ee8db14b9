"""What the browser keeps: runs and named settings as one list, and how the page opens them."""

import base64
import io
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

from app import links, sampling, shelf
from app.settings import controls_of
from app.shelf import MAX_NAMED, MAX_RUNS, Entry
from app.ui import build_ui
from tests.app.test_sampling import view_of

pytestmark = pytest.mark.usefixtures("every_frame")

SAMPLE = "?tab=sample&model=tiny&seed={}&num=12"
RUNS = [Entry(SAMPLE.format(seed), f"tiny, seed {seed}", "anBlZw==") for seed in range(30)]


def test_the_last_runs_are_kept_each_settings_once():
    entries = []
    for run in [*RUNS, RUNS[20]]:
        entries = shelf.with_run(entries, run)
    assert len(entries) == MAX_RUNS
    assert entries[:3] == [RUNS[20], RUNS[29], RUNS[28]]
    assert entries.count(RUNS[20]) == 1
    assert shelf.from_plain(shelf.to_plain(entries)) == entries


def test_named_settings_outlive_runs_and_have_the_picture_of_theirs():
    entries = shelf.with_name(RUNS[:3], "  A  cat ", RUNS[1].address, "tiny")
    assert entries == [Entry(RUNS[1].address, "tiny", "anBlZw==", "A cat"), *RUNS[:3]]
    for run in RUNS:
        entries = shelf.with_run(entries, run)
    assert [entry.name for entry in entries if entry.name] == ["A cat"]
    assert RUNS[29] in entries
    entries = shelf.with_name(entries, "A cat", "?tab=sample&model=other", "other")  # the name has others now
    assert [entry.address for entry in entries if entry.name] == ["?tab=sample&model=other"]
    assert shelf.without(entries, "A cat", "?tab=sample&model=other") == [e for e in entries if not e.name]


def test_names_have_limits():
    for name in ("", "   ", "x" * 61):
        with pytest.raises(ValueError, match="A name has 1 to 60 characters"):
            shelf.with_name([], name, "?tab=sample", "")
    full = [Entry("?tab=sample", "", "", f"name {i}") for i in range(MAX_NAMED)]
    assert len(shelf.with_name(full, "name 3", "?tab=score", "")) == MAX_NAMED
    with pytest.raises(ValueError, match="50 names are the most: forget one"):
        shelf.with_name(full, "another", "?tab=sample", "")


def test_what_is_no_entry_is_left_out_and_nothing_of_an_entry_is_html():
    bad = [None, 1, {}, {"address": 1, "words": ""}, {"address": "?", "words": "", "extra": 1}]
    assert shelf.from_plain(bad + shelf.to_plain(RUNS[:1])) == RUNS[:1]
    assert shelf.from_plain("text") == shelf.from_plain(None) == []
    evil = '"><script>'
    page = shelf.to_html([Entry(evil, evil, evil, evil)], "runs")
    assert "<script" not in page
    assert page.count("&quot;&gt;&lt;script&gt;") == 8
    assert shelf.to_html([], "runs") == ""


def test_a_run_is_kept_once_it_rests(session, catalog, gate):
    assert shelf.run_of(catalog, None) is None
    controls = controls_of(catalog.get("alpha"))
    views = sampling.start(session, catalog, "alpha", controls, 3, 7)
    gate.let(1)
    view_of(views, 0)
    assert shelf.run_of(catalog, session.walk) is None
    gate.let(30)
    list(views)
    run = shelf.run_of(catalog, session.walk)
    assert (run.address, run.words) == ("?tab=sample&model=alpha&seed=7&num=3", "alpha, seed 7")
    with Image.open(io.BytesIO(base64.b64decode(run.picture))) as picture:
        assert (picture.size, picture.format) == ((96, 96), "JPEG")


def handler(page, name, number=0):
    return [function for function in page.fns.values() if function.name == name][number]


def by_id(changes):
    return {getattr(component, "elem_id", None): value for component, value in changes.items()}


def test_the_page_keeps_opens_and_forgets(family_catalog):
    page = build_ui(family_catalog)
    keep = next(f for f in page.fns.values() if f.name == "on_keep" and f.inputs[1].elem_id == "compose-name")
    values = {component.elem_id: component.value for component in keep.inputs[2:]}
    changes = by_id(keep.fn([], "Mine", *(values | {"tiny-bright-strength": -0.5}).values()))
    address = "?tab=compose&model=tiny&seed=0&num=12&bright=-0.5"
    assert changes[None] == [{"address": address, "words": "tiny: dark (0.5), seed 0", "picture": "", "name": "Mine"}]
    assert "Mine" in changes["compose-named"]
    assert (changes["named"], changes["history"], changes["compose-name"]) == ("", "", "")
    opened = by_id(handler(page, "on_open").fn(SimpleNamespace(address=address, name="Mine")))
    assert (opened["tabs"].selected, opened["tiny-bright-strength"]) == ("compose", -0.5)
    with pytest.raises(ValueError, match="no model 'gone'"):
        handler(page, "on_open").fn(SimpleNamespace(address="?tab=sample&model=gone", name=""))
    left = by_id(handler(page, "on_remove").fn(changes[None], SimpleNamespace(address=address, name="Mine")))
    assert left[None] == []
    assert left["compose-named"] == ""


def test_every_walk_of_sample_and_compose_is_recorded_when_it_ends(family_catalog, session):
    page = build_ui(family_catalog)
    ends = [function for function in page.fns.values() if function.name == "on_end"]
    begins = {function.trigger_after for function in ends}
    assert {page.fns[number].name for number in begins} == {"on_begin", "on_go_on"}
    assert len(ends) == 4
    assert all(function.trigger_only_on_success for function in ends)
    list(sampling.start(session, family_catalog, "tiny", controls_of(family_catalog.get("tiny")), 2, 3))
    changes = by_id(ends[0].fn(session, []))
    assert [links.read(family_catalog, entry["address"]).recipe.seed for entry in changes[None]] == [3]
    assert "last runs" in changes["history"]


def test_only_tabs_stand_among_the_tabs(catalog):
    (tabs,) = (block for block in build_ui(catalog).blocks.values() if isinstance(block, gr.Tabs))
    assert [child.id for child in tabs.children] == ["sample", "edit", "score", "understand"]
