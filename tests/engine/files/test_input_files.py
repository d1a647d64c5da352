# SPDX-License-Identifier: GPL-3.0-or-later
"""Input files: opened once, bounded, no devices; pipes are waited for with a word, and the wait can be ended."""

from __future__ import annotations

import logging
import os
import socket
import threading
from pathlib import Path

import pytest

from supervm.engine.errors import InputFileError
from supervm.engine.files import input_files
from supervm.engine.files.input_files import open_input, read_input


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_files, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(input_files, "_POLL_MILLISECONDS", 20)


def test_a_file_is_peeked_at_read_and_mapped(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with open_input(path) as file:
        assert (file.name, file.size, file.whole) == (str(path), 10, True)
        assert file.is_same(tmp_path / "." / "file")
        assert not file.is_same(tmp_path / "other")
        assert file.peek(4) == b"0123"
        assert bytes(file.mapped()) == b"0123456789"
        assert file.read(2) + file.read(1) + file.read(1) == b"0123"
        assert file.read_all(10) == b"456789"
        assert file.read(1) == b""
    with open_input(path) as file:
        assert file.peek(99) == b"0123456789"
        assert file.read_all(10) == b"0123456789"


@pytest.mark.parametrize("size", [0, 1, 5])
def test_what_is_larger_than_a_bound_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert read_input(path, size) == b"x" * size
    path.write_bytes(b"x" * (size + 1))
    with pytest.raises(InputFileError, match=f"found {size + 1} bytes, expected at most {size}"):
        read_input(path, size)


def test_a_pipe_is_bounded_too() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x" * 100)
    os.close(writing)
    assert read_input(f"/dev/fd/{reading}", 100) == b"x" * 100
    reading_again, writing = os.pipe()
    os.write(writing, b"x" * 100)  # and goes on, for all that the reader knows
    with pytest.raises(InputFileError, match="found more than 99 bytes"):
        read_input(f"/proc/self/fd/{reading_again}", 99)
    for descriptor in (reading, reading_again, writing):
        os.close(descriptor)


def test_an_open_descriptor_is_read_from_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first\nsecond\n")
    descriptor = os.open(path, os.O_RDONLY)
    os.read(descriptor, 6)
    with open_input(f"/dev/fd/{descriptor}") as file:
        assert (file.size, file.whole) == (7, False)
        assert file.read_all(99) == b"second\n"
    os.close(descriptor)


def test_a_socket_is_a_pipe() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"text")
        ours.shutdown(socket.SHUT_WR)
        assert read_input(f"/dev/fd/{theirs.fileno()}", 99) == b"text"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/dev/zero", "a device"),
        ("/dev/null", "a device"),
        ("/dev", "a directory"),
        ("/dev/fd/999999", "Bad file descriptor"),
        ("absent", "No such file"),
        ("a\0b", "null"),
    ],
)
def test_what_is_neither_file_nor_pipe(name: str, words: str) -> None:
    with pytest.raises(InputFileError, match=words) as caught:
        open_input(name)
    assert caught.value.file == name


def test_a_terminal_is_refused() -> None:
    ours, theirs = os.openpty()
    with pytest.raises(InputFileError, match="a terminal"):
        open_input(f"/dev/fd/{theirs}")
    os.close(ours)
    os.close(theirs)


@pytest.mark.usefixtures("quick")
def test_a_fifo_is_waited_for_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "fi\x1bfo"
    os.mkfifo(path)
    told = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    def write() -> None:
        assert told.wait(60)
        path.write_bytes(b"late")

    handler = Told()
    input_files.log.addHandler(handler)
    writer = threading.Thread(target=write)
    try:
        with open_input(path) as file:
            writer.start()
            assert file.read_all(99) == b"late"
    finally:
        input_files.log.removeHandler(handler)
        writer.join()
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting for somebody to write to {str(path)!r}"
    ]
    assert "\x1b" not in caplog.text


@pytest.mark.usefixtures("quick")
def test_a_wait_can_be_ended(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with open_input(path) as file:
        threading.Timer(0.1, file.stop).start()
        with pytest.raises(InputFileError):
            file.read(1)


def test_a_writer_that_comes_and_goes_is_the_end(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with open_input(path) as file:
        os.close(os.open(path, os.O_WRONLY))
        assert file.read(1) == b""


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(descriptor: int) -> int:
        raise OSError(9, os.strerror(9))

    monkeypatch.setattr(os, "dup", closed)
    with pytest.raises(InputFileError, match="standard input: found Bad file descriptor"):
        open_input("-")
