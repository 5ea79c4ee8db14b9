"""One way to write a file, names that lead nowhere else, and words for what a file is."""

import os

import pytest

from ebm_core.files import (
    FileError,
    check_new,
    check_new_folder,
    kind_of,
    one_line,
    replacing,
    safe_name,
    spreadsheet_text,
    write_atomically,
)


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file"
    with pytest.raises(TypeError), replacing(path) as file:
        file.write("text, which no binary file takes")
    assert list(path.parent.iterdir()) == []
    with replacing(path) as file:
        file.write(b"who")
        file.write(b"le")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_is_a_file_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"could not write .*; free some space or choose another folder"):
        write_atomically(tmp_path / "file" / "inside", b"")


@pytest.mark.parametrize("name", ["faces-wavy_hair", "cifar10", "a", "v1.2", "my faces", "gesichter-weiß", "a+b"])
def test_safe_names(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/tmp/x",
        "a\\b",
        ".hidden",
        "-x",
        "x.",
        "x ",
        "a\nb",
        "hf:a/b",
        "C:x",
        "*",
        "a\0b",
        "x" * 101,
    ],
)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(FileError, match="a name has 1 to 100 letters, digits"):
        safe_name(name)


def test_what_is_there_is_not_overwritten(tmp_path):
    check_new(tmp_path / "new")
    check_new_folder(tmp_path / "new", "")
    check_new_folder(tmp_path, "")
    (tmp_path / ".hidden").touch()
    check_new_folder(tmp_path, "")
    (tmp_path / "a").touch()
    with pytest.raises(FileError, match="a exists already; take another"):
        check_new(tmp_path / "a", "take another")
    with pytest.raises(FileError, match="in use, it has a; take another"):
        check_new_folder(tmp_path, "take another")
    with pytest.raises(FileError, match="a is no folder to write to: Not a directory"):
        check_new_folder(tmp_path / "a", "")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileError, match="broken exists already"):
        check_new(tmp_path / "broken")


def test_half_a_letter_at_the_end_is_still_text():
    assert kind_of("weiß".encode()[:-1]) == "text"
    assert kind_of(b"wei\xff") == "of no kind that is known here"


def test_other_libraries_words_come_in_one_line_without_addresses():
    error = ValueError("cannot identify image file <_io.BytesIO object at 0x7f00dead>\n  at all")
    assert one_line(error) == "cannot identify image file the file at all"


@pytest.mark.parametrize("text", ["=1+1.png", "+1", "-1", "@x", "\tx", "\rx", "\nx", "＝1"])
def test_no_text_is_a_formula(text):
    assert spreadsheet_text(text) == "'" + text
    assert spreadsheet_text("x" + text) == "x" + text


def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path):
    path = tmp_path / "a[1].bin"
    old, fresh, foreign = (tmp_path / name for name in ("a[1].binxyz.tmp", "a[1].binabc.tmp", "b.tmp"))
    for litter in (old, fresh, foreign):
        litter.write_bytes(b"half")
    for litter in (old, foreign):
        os.utime(litter, (0, 0))
    write_atomically(path, b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a[1].bin", "a[1].binabc.tmp", "b.tmp"]
