"""What is written is there whole, or as it was before."""

import stat
import threading

import pytest

from lac._atomic import written_whole


def test_a_file_appears_at_the_end_with_what_was_written(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with written_whole(target) as unfinished:
        unfinished.write_text("all of it")
        assert unfinished.name == "a.txt" and not target.exists()
    assert target.read_text() == "all of it"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_appears_at_the_end_with_all_that_is_in_it(tmp_path):
    target = tmp_path / "clips"
    target.mkdir()  # an empty one is as good as none
    with written_whole(target) as unfinished:
        unfinished.mkdir()
        (unfinished / "a").touch()
        assert not any(target.iterdir())
    assert list(target.iterdir()) == [target / "a"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_content_and_nothing_else(tmp_path, stop):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(stop), written_whole(target) as unfinished:
        unfinished.write_text("ne")
        raise stop
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "film").touch()
    with pytest.raises(OSError), written_whole(tmp_path / "own") as unfinished:
        unfinished.mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["own", "film"]


def test_several_may_write_one_file_at_once(tmp_path):
    target, texts = tmp_path / "a", [str(number) * 100_000 for number in range(4)]

    def write(text):
        for _ in range(10):
            with written_whole(target) as unfinished:
                unfinished.write_text(text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert not target.exists() or target.read_text() in texts
    assert list(tmp_path.iterdir()) == [target]


def test_others_may_read_what_the_user_lets_them(tmp_path):
    (tmp_path / "plain").touch()
    with written_whole(tmp_path / "a") as unfinished:
        unfinished.touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a")]
    assert modes[0] == modes[1]


def test_a_name_may_be_as_long_as_any(tmp_path):
    with written_whole(tmp_path / ("a" * 255)) as unfinished:
        unfinished.touch()
    assert (tmp_path / ("a" * 255)).exists()
