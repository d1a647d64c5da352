# SPDX-License-Identifier: GPL-3.0-or-later
"""A file or folder has its name when it is whole; until then, and after an error, what was there is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervm.engine.files.whole_files import (
    unfinished_name,
    whole_file,
    whole_folder,
    write_together,
    write_whole,
)


def _write_and_fail(write: Callable[[bytes], object], error: type[BaseException]) -> None:
    write(b"after")
    raise error


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with whole_file(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
        assert unfinished_name(path).read_bytes() == b"after"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(error), whole_file(path) as file:
        _write_and_fail(file.write, error)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "file", b"first", new=True)
    with pytest.raises(FileExistsError):
        write_whole(path, b"second", new=True)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"content"
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"content")


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    for path in (tmp_path / "a" / "new", tmp_path / "empty"):
        if path.name == "empty":
            path.mkdir()
        with whole_folder(path) as folder:
            (folder / "file").write_text("content")
            assert not (path / "file").exists()
        assert (path / "file").read_text() == "content"
        with pytest.raises(OSError, match="not empty"), whole_folder(path) as folder:
            (folder / "file").write_text("another")
        assert (path / "file").read_text() == "content"
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "b") as folder:
        _write_and_fail((folder / "file").write_bytes, KeyboardInterrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "empty"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new"]


def test_files_that_belong_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the last one is there, the others are those of it; what fails before any name is given changes nothing."""
    names = [tmp_path / name for name in ("public", "other", "proof")]
    seen: list[tuple[bytes, ...]] = []
    whole = {(b"old",) * 3, (b"new",) * 3}

    def contents() -> tuple[bytes, ...]:
        return tuple(name.read_bytes() if name.exists() else b"" for name in names)

    def look(method: Callable[..., Any]) -> Callable[..., Any]:
        def looking(*arguments: Any, **named: Any) -> Any:
            seen.append(contents())
            found = method(*arguments, **named)
            seen.append(contents())
            return found

        return looking

    for name in ("rename", "unlink"):
        monkeypatch.setattr(Path, name, look(getattr(Path, name)))
    for content in (b"old", b"new"):
        write_together([(name, content) for name in names])
        assert contents() == (content,) * 3
    assert all(each in whole for each in seen if each[2])
    assert {(b"new", b"old", b""), (b"new", b"new", b"")} <= set(seen)
    for bad, error in ((tmp_path, IsADirectoryError), (tmp_path / "none" / "name", FileNotFoundError)):
        for at in range(3):
            files = [(name, b"third") for name in names]
            files[at] = (bad, b"third")
            with pytest.raises(error, match=re.escape(repr(str(bad)))):
                write_together(files)
            assert contents() == (b"new",) * 3
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", "proof", "public"]
