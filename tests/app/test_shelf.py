"""What the browser keeps: runs and named settings as one list, and how the page opens them."""

import base64
import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from app import editing, links, sampling, shelf
from app.settings import controls_of
from app.shelf import MAX_NAMED, MAX_RUNS, Entry
from app.ui import build_ui
from tests.app.asking import BRIGHT
from tests.app.conftest import png
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


def test_a_name_is_of_its_tab():
    """Each tab lists only its own: what another has of that name would go unseen."""
    entries = shelf.with_name([], "Mine", "?tab=sample&model=tiny", "tiny")
    entries = shelf.with_name(entries, "Mine", "?tab=edit&model=tiny", "edit with tiny")
    assert [entry.address for entry in entries] == ["?tab=edit&model=tiny", "?tab=sample&model=tiny"]
    entries = shelf.with_name(entries, "Mine", "?model=tiny&seed=1&tab=edit", "edit with tiny, seed 1")
    assert [shelf.tab_of(entry.address) for entry in entries] == ["edit", "sample"]


def test_names_have_limits():
    for name in ("", "   ", "x" * 61):
        with pytest.raises(ValueError, match="A name has 1 to 60 characters"):
            shelf.with_name([], name, "?tab=sample", "")
    full = [Entry("?tab=sample", "", "", f"name {i}") for i in range(MAX_NAMED)]
    assert len(shelf.with_name(full, "name 3", "?tab=sample&seed=1", "")) == MAX_NAMED
    with pytest.raises(ValueError, match="50 names are the most: forget one"):
        shelf.with_name(full, "another", "?tab=sample", "")


def test_what_is_no_entry_is_left_out_and_nothing_of_an_entry_is_html():
    bad = [None, 1, {}, {"address": 1, "words": ""}, {"address": "?", "words": "", "extra": 1}]
    assert shelf.from_plain(bad + shelf.to_plain(RUNS[:1])) == RUNS[:1]
    assert shelf.from_plain("text") == shelf.from_plain(None) == []
    evil = '"><script>'
    page = shelf.to_html([Entry(evil, evil, evil, evil)], "runs")
    assert "<script" not in page
    assert page.count("&quot;&gt;&lt;script&gt;") == 9
    assert shelf.to_html([], "runs") == ""


def test_a_run_is_kept_once_it_rests(session, catalog, gate):
    assert shelf.run_of(catalog, session) is None
    controls = controls_of(catalog.get("alpha"))
    views = sampling.start(session, catalog, "alpha", controls, 3, 7)
    gate.let(1)
    view_of(views, 0)
    assert shelf.run_of(catalog, session) is None
    gate.let(30)
    *_, last = views
    run = shelf.run_of(catalog, session)
    assert (run.address, run.words, run.smooth) == ("?tab=sample&model=alpha&seed=7&num=3", "alpha, seed 7", False)
    # The very file of the gallery's first picture: it can be sent to where that can.
    assert base64.b64decode(run.picture) == Path(last.result.gallery[0][0]).read_bytes()


def test_a_run_of_edit_is_kept_as_what_it_was_asked_for(session, family_catalog):
    editing.take(session, family_catalog, png())
    edit = editing.make_edit(family_catalog, "tiny", [BRIGHT], editing.WHOLE, 0.5, 2, 3)
    list(editing.start(session, family_catalog, edit, ""))
    run = shelf.run_of(family_catalog, session)
    assert run.address == "?tab=edit&model=tiny&seed=3&num=2&where=whole&strength=0.5&bright=1"
    assert links.read(family_catalog, run.address).asked == edit


def test_a_run_s_picture_can_be_sent_and_named_settings_only_opened():
    run = Entry(SAMPLE.format(1), 'tiny, "seed" 1', "iVBORw==", smooth=False)
    page = shelf.to_html([run], "runs", lambda entry: ["edit", "compose"])
    assert re.findall(r'class="send-to-(\w+)">([^<]+)<', page) == [("edit", "Edit it"), ("compose", "Compose from it")]
    assert 'class="shelf-picture pixelated"' in page
    assert 'data-file="tiny, &quot;seed&quot; 1.png"' in page
    assert "send-to" not in shelf.to_html([run], "named")
    named = shelf.with_name([run], "Mine", run.address, run.words)
    assert (named[0].picture, named[0].smooth) == ("iVBORw==", False)


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
    assert changes[None] == shelf.to_plain([Entry(address, "tiny: dark (0.5), seed 0", "", "Mine")])
    assert "Mine" in changes["compose-named"]
    assert (changes["named"], changes["history"], changes["compose-name"]) == ("", "", "")
    opened = by_id(handler(page, "on_open").fn(SimpleNamespace(address=address, name="Mine")))
    assert (opened["tabs"].selected, opened["tiny-bright-strength"]) == ("compose", -0.5)
    with pytest.raises(ValueError, match="no model 'gone'"):
        handler(page, "on_open").fn(SimpleNamespace(address="?tab=sample&model=gone", name=""))
    left = by_id(handler(page, "on_remove").fn(changes[None], SimpleNamespace(address=address, name="Mine")))
    assert left[None] == []
    assert left["compose-named"] == ""


def test_every_walk_of_sample_compose_and_edit_is_recorded_when_it_ends(family_catalog, session):
    page = build_ui(family_catalog)
    ends = [function for function in page.fns.values() if function.name == "on_end"]
    begins = {function.trigger_after for function in ends}
    assert {page.fns[number].name for number in begins} == {"on_begin", "on_go_on"}
    assert len(ends) == 6
    assert all(function.trigger_only_on_success for function in ends)
    list(sampling.start(session, family_catalog, "tiny", controls_of(family_catalog.get("tiny")), 2, 3))
    changes = by_id(ends[0].fn(session, []))
    assert [links.read(family_catalog, entry["address"]).asked.seed for entry in changes[None]] == [3]
    assert "last runs" in changes["history"]
    assert "send-to-compose" in changes["history"]


def test_only_tabs_stand_among_the_tabs(catalog):
    (tabs,) = (block for block in build_ui(catalog).blocks.values() if isinstance(block, gr.Tabs))
    assert [child.id for child in tabs.children] == ["sample", "edit", "score", "understand"]
