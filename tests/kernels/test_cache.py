# SPDX-License-Identifier: GPL-3.0-or-later
"""Where compiled kernels are kept: the digest, the fallback, and what is cleaned up."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from numba.core.caching import IndexDataCacheFile

from supervm.kernels import cache


@pytest.fixture
def roots(monkeypatch, tmp_path):
    """A cache root and a temporary directory of the test's own; Numba's setting is put back."""
    from numba import config

    monkeypatch.setenv("SUPERVM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setattr(config, "CACHE_DIR", config.CACHE_DIR)
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path


def test_folder_is_named_by_the_sources(roots):
    folder = cache.configure()
    assert folder == roots / "cache" / "numba" / cache.source_digest()
    assert folder.is_dir()
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)


def test_a_root_that_cannot_be_made_gives_a_private_folder(roots):
    (roots / "cache").write_text("a file, where a folder is wanted")
    folder = cache.configure()
    private = roots / "temporary" / f"supervm-{os.getuid()}"
    assert folder.is_relative_to(private)
    assert private.stat().st_mode & 0o077 == 0


def test_a_temporary_folder_that_others_can_write_is_not_used(roots):
    (roots / "cache").write_text("")
    open_to_all = roots / "temporary" / f"supervm-{os.getuid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    assert not cache.configure().is_relative_to(open_to_all)


def test_old_folders_go_and_recent_ones_stay(roots):
    parent = roots / "cache" / "numba"
    for index in range(8):
        folder = parent / f"digest{index}"
        folder.mkdir(parents=True)
        moment = folder.stat().st_mtime - (3600 if index < 3 else 30 * 86400 + index)
        os.utime(folder, (moment, moment))
    kept = cache.configure()
    names = {path.name for path in parent.iterdir()}
    assert names == {kept.name, "digest0", "digest1", "digest2", "digest3"}


SAVING = """
import sys, time
from pathlib import Path
from supervm.kernels import cpu
from numba.core.caching import IndexDataCacheFile
folder, worker, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
file = IndexDataCacheFile(str(folder), "module.function-1.py3", "stamp")
(folder / f"ready {worker}").touch()
until = time.monotonic() + 60
while len(list(folder.glob("ready *"))) < 4 and time.monotonic() < until:
    time.sleep(0.001)
for number in range(count):
    file.save((worker, number), [worker, number])
"""


def test_processes_that_save_at_once_lose_and_mix_up_nothing(tmp_path):
    """Every index entry leads to its own code: with Numba's numbers another process's code could stand there."""
    count = 50
    commands = [[sys.executable, "-c", SAVING, str(tmp_path), str(worker), str(count)] for worker in range(4)]
    with ThreadPoolExecutor(len(commands)) as pool:
        ended = list(pool.map(lambda command: subprocess.run(command, check=False).returncode, commands))
    assert ended == [0] * len(commands)
    file = IndexDataCacheFile(str(tmp_path), "module.function-1.py3", "stamp")
    for worker in range(len(commands)):
        for number in range(count):
            assert file.load((worker, number)) == [worker, number]
    assert len(list(tmp_path.glob("*.nbc"))) == len(commands) * count


def test_a_function_that_is_saved_again_keeps_its_file(tmp_path):
    file = IndexDataCacheFile(str(tmp_path), "module.function-1.py3", "stamp")
    cache.save_alone(file, "key", "broken")
    [code] = tmp_path.glob("*.nbc")
    code.write_bytes(pickle.dumps("other"))
    cache.save_alone(file, "key", "whole")
    assert [path.name for path in tmp_path.glob("*.nbc")] == [code.name]
    assert file.load("key") == "whole"


def test_nothing_is_saved_where_files_cannot_be_locked(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no locks here")

    monkeypatch.setattr(cache.fcntl, "flock", refuse)
    cache.save_alone(IndexDataCacheFile(str(tmp_path), "module.function-1.py3", "stamp"), "key", "code")
    assert not list(Path(tmp_path).glob("*.nb?"))
