"""A file that holds a secret: for its owner alone at every moment, and whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from process import private_file


def test_it_works(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret"
    old = os.umask(0)
    try:
        private_file.write(path, "é\n")
    finally:
        os.umask(old)
    assert path.read_text(encoding="utf-8") == "é\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_neither_what_was_there_nor_what_a_crash_left_lends_it_a_mode(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for left in (path, path.with_name("secret.new")):
        left.write_text("old")
        left.chmod(0o666)
    private_file.write(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)


def test_for_other_readers_it_is_read_only(tmp_path: Path) -> None:
    private_file.write(tmp_path / "secret", "it", 0o444)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o444


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    private_file.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        private_file.write(path, "\ud800")
    assert path.read_text() == "old"
