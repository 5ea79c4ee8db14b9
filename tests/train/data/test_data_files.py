"""Which files are pictures to read: every one that is found is read or left out with its reason."""

import os
import warnings
import zipfile
from pathlib import Path

import pytest

from ebm_core import picture_files
from ebm_core.picture_files import left_out_notes, open_files, walk
from ebm_core.pictures import Limits, PictureError
from tests.train.data.test_data_archive import picture, png

PNG = png(picture())


def put(folder: Path, *names: str, data: bytes = PNG) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def zipped(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of equal names
        for name, data in members:
            archive.writestr(name, data)
    return path


def accounted(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    with open_files(path, Limits()) as opened:
        return opened.names, {reason: names for reason, names in opened.left_out.items() if names}


def test_folder_and_zip_account_for_the_same_files(tmp_path: Path) -> None:
    root = tmp_path / "in"
    put(root, "a.PNG", "b.jpg_large", "deep/none", "c.tga")
    put(root, "notes.txt", "empty", "Thumbs.db", ".hidden.png", "__MACOSX/a.png", data=b"no picture, only text")
    put(root, "empty", data=b"")
    path = zipped(tmp_path / "in.zip", *((n, (root / n).read_bytes()) for n in walk(root)[0]), ("__MACOSX/a.png", b""))
    pictures = ["a.PNG", "b.jpg_large", "c.tga", "deep/none"]
    names, left_out = accounted(root)
    assert names == pictures
    assert {reason: sorted(names) for reason, names in left_out.items()} == {
        picture_files.HIDDEN: [".hidden.png", "Thumbs.db", "__MACOSX/"],
        picture_files.NO_PICTURE: ["empty", "notes.txt"],
    }
    names, left_out = accounted(path)
    assert names == pictures
    assert {reason: sorted(names) for reason, names in left_out.items()} == {
        picture_files.HIDDEN: [".hidden.png", "Thumbs.db", "__MACOSX/a.png"],
        picture_files.NO_PICTURE: ["empty", "notes.txt"],
    }


def test_linked_folders_are_entered_once_and_circles_end(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    put(root, "sub/a.png")
    put(elsewhere, "b.png", "deeper/c.png")
    (root / "again").symlink_to(root / "sub")
    (root / "circle").symlink_to(root)
    (root / "linked").symlink_to(elsewhere)
    (root / "linked-too").symlink_to(elsewhere / "deeper")
    names, left_out = accounted(root)
    assert names == ["linked/b.png", "linked/deeper/c.png", "sub/a.png"]
    assert {reason: sorted(names) for reason, names in left_out.items()} == {
        picture_files.READ_ALREADY: ["again/", "circle/", "linked-too/"]
    }


def test_of_members_of_one_name_the_last_counts(tmp_path: Path) -> None:
    later = png(picture())
    path = zipped(tmp_path / "d.zip", ("a.png", PNG), ("b.png", PNG), ("a.png", later))
    with open_files(path, Limits()) as opened:
        assert opened.names == ["a.png", "b.png"]
        assert opened.read("a.png") == later
        assert left_out_notes(opened.left_out) == [f"left out: a.png: {picture_files.SAME_NAME}"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to("nowhere")
    assert accounted(tmp_path) == (["a.png"], {picture_files.NO_PICTURE: ["broken", "pipe"]})


def test_without_pictures_what_is_there_is_said(tmp_path: Path) -> None:
    put(tmp_path, "notes.txt", data=b"no picture, only text")
    with pytest.raises(ValueError, match=r"no picture files there .*; left out: notes\.txt: neither the name"):
        accounted(tmp_path)


def test_of_many_the_first_are_named() -> None:
    many = [f"{number:02d}\udce9" for number in range(12)]
    (note,) = left_out_notes({"why": many, "nothing": []})
    assert note.startswith("left out: 00\\xe9, 01\\xe9, ")
    assert note.endswith(", 09\\xe9 and 2 more: why")


NAMES = ["a.png", "größe b.png", "sub/c.png"]


@pytest.mark.parametrize(
    "data",
    [
        "\n".join(NAMES).encode(),
        "\r\n".join(NAMES).encode("utf-8-sig"),
        "\r\n".join([*NAMES, ""]).encode("utf-16"),
        b"\xfe\xff" + "\r\n".join(NAMES).encode("utf-16-be"),
        "\r\n".join(["", "a.png", "größe b.png ", "sub\\c.png"]).encode("utf-8-sig"),
        "\r\n".join(['".\\a.png"', '"größe b.png"', '"sub\\c.png"']).encode("utf-16"),
    ],
)
def test_lists_as_systems_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    contents = [png(picture()) for _ in NAMES]
    for name, content in zip(NAMES, contents, strict=True):
        put(tmp_path, name, data=content)
    (tmp_path / "list").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    with open_files(Path("list"), Limits()) as opened:
        assert [opened.read(name) for name in opened.names] == contents


def test_a_backslash_that_is_part_of_the_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "sub\\c.png", data=b"this one")
    put(tmp_path, "sub/c.png", data=b"not this one")
    (tmp_path / "list").write_text("sub\\c.png\n")
    monkeypatch.chdir(tmp_path)
    with open_files(Path("list"), Limits()) as opened:
        assert opened.read(*opened.names) == b"this one"


def test_other_encodings_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "größe.png")
    monkeypatch.chdir(tmp_path)
    Path("latin").write_bytes("größe.png\n".encode("latin-1"))
    with open_files(Path("latin"), Limits()) as opened, pytest.raises(PictureError, match="save the list as UTF-8"):
        opened.read(*opened.names)
    Path("bare").write_bytes("größe.png\n".encode("utf-16-le"))
    with pytest.raises(ValueError, match="a list is in UTF-8, or in UTF-16 with a byte order mark"):
        accounted(Path("bare"))
