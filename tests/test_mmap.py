# SPDX-License-Identifier: BSD-3-Clause
"""Workspaces whose block is a file."""

import errno
import gc
import os
import resource
import stat
import subprocess
import sys

import numpy as np
import pytest

import wspace
from wspace import Workspace

MIB = 1024**2


@pytest.fixture
def path(tmp_path):
    return tmp_path / "block"


def mapped(path=None, **fields):
    fields.setdefault("capture", False)
    return Workspace("train", location="mmap", path=path, **fields)


def descriptors():
    return len(os.listdir("/dev/fd"))


# What is in the file


def test_arrays_are_in_the_file(path):
    ws = mapped(path, initial_size=MIB)
    assert path.stat().st_size == MIB
    with ws:
        x = ws.full(1000, 3.0)
        y = ws.full(100, 7, np.int32)
        assert wspace.owner(x) is wspace.owner(y) is ws
        assert x.ctypes.data % 64 == y.ctypes.data % 64 == 0
        assert ws.stats.spills == 0
        bytes_now = path.read_bytes()
    assert np.frombuffer(bytes_now, np.float64, 1000).tolist() == [3.0] * 1000
    second = np.frombuffer(bytes_now, np.int32, 100, offset=8064)
    assert second.tolist() == [7] * 100
    assert not any(bytes_now[8064 + 400 :])


def test_a_file_is_reopened_with_its_bytes(path):
    with mapped(path, initial_size=8000) as ws:
        ws.full(1000, 10.0)
    ws.close()
    again = mapped(path)  # as large as it is
    with again:
        x = again.empty(1000)
        assert x.sum() == 10_000
        assert again.stats.spills == 0
        assert again.stats.capacity == 8000
        del x
    with again:
        assert again.empty(1000).sum() == 10_000  # as in any later cycle
        assert again.zeros(1000).sum() == 0
    again.close()
    assert path.read_bytes() == bytes(8000)


def test_the_bytes_of_a_file_outlive_the_process(path, run_python):
    run_python(f"""
        import wspace
        ws = wspace.Workspace(location="mmap", path={str(path)!r}, initial_size="1MiB",
                              capture=False)
        with ws:
            x = ws.arange(1000.0)  # alive at the exit of the interpreter
        """)
    with mapped(path) as ws:
        assert ws.empty(1000).tolist() == list(range(1000))


def test_a_file_is_never_made_smaller(path):
    path.write_bytes(b"\x01" * 10_000)
    ws = mapped(path, initial_size=5000)
    with ws:
        assert ws.empty(10_000, np.uint8).sum() == 10_000
        assert ws.stats.spills == 0
    ws.close()
    assert path.stat().st_size == 10_000


def test_a_file_has_its_exact_size_and_all_of_it_can_be_used(path):
    for size in (1000, 8_000_001):
        ws = mapped(path, initial_size=size, spill="fail")
        with ws:
            x = ws.empty(size, np.uint8)
            x[:] = 5
            with pytest.raises(wspace.WorkspaceFullError) as caught:
                ws.empty(1)
            assert f"requested 8 bytes, 0 of {size} free" in str(caught.value)
        del x
        ws.close()
        assert path.read_bytes() == b"\x05" * size
        path.unlink()


def test_all_of_the_file_is_on_the_disk_first(path):
    mapped(path, initial_size=4 * MIB)
    assert path.stat().st_blocks * 512 >= 4 * MIB


def test_a_temporary_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = descriptors()
    ws = mapped(initial_size=MIB)
    with ws:
        assert ws.zeros(100_000).sum() == 0
        assert ws.stats.spills == 0
    assert list(tmp_path.iterdir()) == []
    assert descriptors() == before + 1
    ws.close()
    assert descriptors() == before


def test_captured_arrays_lie_in_the_file_too(path):
    ws = mapped(path, initial_size=4 * MIB, capture=True)
    with ws:
        x = np.arange(100_000.0)
        y = np.sin(x) + x
        assert wspace.owner(y) is ws
        assert ws.stats.spills == 0
        assert np.allclose(y, np.sin(x) + x)


# Sizes


@pytest.mark.parametrize("spill", ["reallocate", "external"])
def test_a_file_does_not_grow_and_what_does_not_fit_spills(path, spill):
    ws = mapped(path, initial_size=10_000, spill=spill)

    def cycle(n):
        with ws:
            inside, outside = ws.full(1000, n), ws.full(2000, n + 0.5)
            assert inside.sum() == 1000 * n
            assert outside.sum() == 2000 * (n + 0.5)
            del inside, outside

    cycle(1)
    cycle(2)
    text = "and location='mmap' never grows it; raise `initial_size` or change it"
    with pytest.warns(RuntimeWarning, match="spilled in 3 cycles in a row") as caught:
        cycle(3)
    assert text in str(caught[0].message)
    cycle(4)
    assert ws.stats.spills == 4
    assert ws.stats.capacity == 10_000 == path.stat().st_size


def test_the_size_of_a_file_is_not_learned(path):
    ws = mapped(path, initial_size=10_000)
    with ws:
        ws.zeros(100)
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        ws.learn()
    assert str(caught.value) == (
        "cannot learn the size of workspace 'train': "
        "its block is a file of a fixed size"
    )


def test_the_minimum_and_the_maximum_hold_for_files(path):
    ws = mapped(path, initial_size=10, min_size=5000)
    assert path.stat().st_size == 5000
    ws.close()
    with pytest.raises(ValueError) as caught:
        mapped(path, max_size=4000)
    assert str(caught.value) == (
        f"the size of {str(path)!r} must not exceed max_size: "
        "5,000 bytes against 4,000 bytes"
    )


# Whose file it is


def test_a_second_workspace_on_a_file_is_refused(path):
    ws = mapped(path, initial_size=MIB)
    link = path.with_name("link")
    link.symlink_to(path)
    for other in (path, link):
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            mapped(other, initial_size=MIB)
        assert str(caught.value) == (
            f"workspace 'train' cannot use the file {str(other)!r}: "
            "another workspace has it"
        )
    ws.close()
    mapped(path)


@pytest.mark.slow
def test_a_second_process_is_refused(path):
    code = f"""if True:
        import wspace
        try:
            wspace.Workspace(location="mmap", path={str(path)!r})
        except wspace.WorkspaceStateError:
            print("refused")
        else:
            print("given")
        """
    ws = mapped(path, initial_size=MIB)
    said = []
    for _ in range(2):
        command = [sys.executable, "-c", code]
        said.append(subprocess.check_output(command, text=True).strip())
        ws.close()
    assert said == ["refused", "given"]


def test_the_file_is_free_once_nothing_lives_in_it(path):
    ws = mapped(path, initial_size=MIB)
    with ws:
        x = ws.full(1000, 3.0)
        plain = wspace.keep(x)
    del x
    ws.close()
    with pytest.raises(wspace.WorkspaceStateError, match="another workspace has it"):
        mapped(path)
    assert plain.sum() == 3000
    plain[:] = 4
    del plain
    with mapped(path) as again:
        assert again.empty(1000).sum() == 4000


def test_a_workspace_that_is_forgotten_frees_its_file(path):
    ws = mapped(path, initial_size=MIB)
    del ws
    gc.collect()
    mapped(path)


def test_after_a_release_the_file_is_mapped_again(path):
    ws = mapped(path, initial_size=MIB)
    with ws:
        ws.full(1000, 3.0)
    ws.release()
    assert ws.stats.reserved == 0
    with pytest.raises(wspace.WorkspaceStateError):
        mapped(path)
    with ws:
        assert ws.empty(1000).sum() == 3000


def test_survivors_of_a_release_are_not_overwritten(path):
    ws = mapped(path, initial_size=MIB)
    with ws:
        kept = wspace.keep(ws.full(1000, 3.0))
    ws.release()
    with ws:
        other = ws.full(1000, 4.0)
        assert ws.stats.spills == 1
    assert kept.sum() == 3000
    del other, kept
    with ws:
        assert ws.empty(1000).sum() == 3000


def test_arrays_in_a_file_may_die_in_other_threads(path, in_thread):
    ws = mapped(path, initial_size=MIB)
    with ws:
        held = [ws.full(1000, n) for n in range(10)]
        in_thread(held.clear)
        x = ws.full(1000, 77)
        assert x.sum() == 77_000
    assert ws._arena.check()
    del x
    assert ws.stats.retained == 0


# What cannot be


def test_a_missing_directory_is_said(path):
    missing = path / "nowhere" / "block"
    with pytest.raises(FileNotFoundError) as caught:
        mapped(missing, initial_size=MIB)
    assert caught.value.filename == str(missing)
    assert str(caught.value).startswith(
        "[Errno 2] workspace 'train' could not have a file of 1,048,576 bytes "
        "(no such directory): No such file or directory: "
    )


def test_a_missing_directory_for_temporary_files_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="no such directory"):
        mapped(initial_size=MIB)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_said(path):
    path.write_bytes(bytes(1000))
    path.chmod(stat.S_IRUSR)
    with pytest.raises(PermissionError, match="could not have a file of 0 bytes"):
        mapped(path)


def test_a_read_only_file_system_is_said():
    with pytest.raises(OSError) as caught:
        mapped("/proc/wspace-block", initial_size=MIB)
    assert caught.value.errno in (errno.EROFS, errno.EACCES, errno.ENOENT, errno.EPERM)
    assert "workspace 'train' could not have a file of" in str(caught.value)


def test_a_file_that_is_too_large_is_said_and_not_left_behind(path):
    with pytest.raises(OSError) as caught:
        mapped(path, initial_size=2**62)
    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)
    assert "could not have a file of 4,611,686,018,427,387,904 bytes" in str(
        caught.value
    )
    assert not path.exists()


def test_a_full_disk_is_said_and_a_file_that_was_there_stays(path, monkeypatch):
    path.write_bytes(b"\x02" * 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, before[1]))  # as a full disk
    try:
        with pytest.raises(OSError, match="could not have a file of 2,097,152 bytes"):
            mapped(path, initial_size=2 * MIB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"\x02" * 1000


def test_what_is_no_regular_file_is_refused(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for other in (fifo, "/dev/null"):
        with pytest.raises(ValueError, match="is not a regular file"):
            mapped(other, initial_size=MIB)
    with pytest.raises(IsADirectoryError):
        mapped(tmp_path, initial_size=MIB)


def test_a_file_without_a_size_is_refused(path):
    with pytest.raises(ValueError) as caught:
        mapped(path)
    assert str(caught.value) == (
        f"location='mmap' needs an initial_size: the file {str(path)!r} is empty"
    )
    assert not path.exists()
    with pytest.raises(ValueError) as caught:
        mapped()
    assert str(caught.value) == (
        "location='mmap' needs an initial_size: no path is given"
    )


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("reset", "ring", "'ring'"),
        ("learning", "over_time", "'over_time'"),
        ("trim_to", "p95", "0.95"),
        ("huge_pages", True, "True"),
        ("populate", True, "True"),
    ],
)
def test_what_a_file_cannot_do_is_refused(field, value, shown):
    with pytest.raises(ValueError) as caught:
        mapped(initial_size=MIB, **{field: value})
    assert str(caught.value) == (
        f"location='mmap' and {field}={shown} contradict each other: "
        "a file is one block of a fixed size"
    )


def test_a_path_is_text_or_path_like_and_needs_its_location():
    for value, kind, text in [
        (5, TypeError, "path must be a path or None, got int 5"),
        ("", ValueError, "path must be the path of a file, got ''"),
        ("a\0b", ValueError, "path must be the path of a file, got 'a\\x00b'"),
        ("block", ValueError, "path='block' needs location='mmap'"),
    ]:
        with pytest.raises(kind) as caught:
            wspace.WorkspaceConfig(path=value)
        assert str(caught.value) == text


@pytest.mark.slow
def test_a_child_leaves_the_file_to_its_parent(path, run_python):
    run_python(f"""
        import os, warnings
        import wspace
        warnings.simplefilter("ignore", DeprecationWarning)
        ws = wspace.Workspace(location="mmap", path={str(path)!r}, initial_size="1MiB")
        with ws:
            x = ws.full(1000, 3.0)
            child = os.fork()
            if child == 0:
                ok = x.sum() == 3000
                try:
                    with wspace.Workspace(location="mmap", path={str(path)!r}):
                        ok = False
                except wspace.WorkspaceStateError:
                    pass
                del x
                ws.close()
                try:
                    with ws:
                        ok = False
                except wspace.WorkspaceStateError as error:
                    ok = ok and "it is closed" in str(error)
                os._exit(0 if ok else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert x.sum() == 3000
        del x
        ws.close()
        wspace.Workspace(location="mmap", path={str(path)!r}).close()
    """)
