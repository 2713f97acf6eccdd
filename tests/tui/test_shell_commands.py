"""Commands as they are shown: whatever is in their words, a shell takes them as they were meant."""

import subprocess
from pathlib import Path

import pytest
from rich.cells import cell_len

from appliance.ground.text import printable
from tui.text.shell_commands import command_lines, shell_word, shell_words, typed_path

WORDS = {
    "plain": ["stillroom", "models", "add", "/media/usb/model"],
    "blank": ['/media/my disk/it\'s a "model"', "--name", "a b"],
    "shell": ["/srv/$HOME/`id`/*;&|<>(){}[]!#~\\", "~/docs", "-n"],
    "escapes": ["\x1b[2J\x1b]0;owned\x07clear.txt", "line\nbreak\r\ttab.txt", "right\u202eexe.txt", "c1\x9b2J.txt"],
    "quote-and-escape": ["it's \\ \x1b4'.txt"],
    "bytes": ["bad-\udcff\udcfe.txt"],
    "long-escapes": ["\x1b[31mred" * 30, "x" + "\u2028'" * 40],
    "long": ["/srv/" + "folder-with-a-long-name/" * 20 + "end", "--out", "/srv/" + "a b/" * 80],
    "wide": ["/srv/" + "\u9818\u53ce\u66f8" * 40, "'" + "x" * 100],
    "empty": ["", "a"],
}


def taken(command: str) -> list[bytes]:
    """The words that bash makes of a command."""
    script = f"printf '%s\\0' {command}".encode("utf-8", "surrogateescape")
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, check=True, timeout=60)
    return done.stdout.split(b"\0")[:-1]


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS.keys())
def test_shell_takes_a_shown_command_as_it_was_meant(words: list[str]) -> None:
    command = shell_words(words)
    assert command == printable(command)
    assert taken(command) == [word.encode("utf-8", "surrogateescape") for word in words]


@pytest.mark.parametrize("name", WORDS)
def test_command_on_several_lines_can_be_pasted(name: str) -> None:
    command = shell_words(["stillroom", "run", *WORDS[name], "--detach"])
    for width in range(40, 120):
        lines = command_lines(command, width)
        assert all(cell_len(line) <= width for line in lines)
        if width in (40, 77, 117):
            assert taken("\n".join(lines)) == taken(command)


def test_short_command_stays_on_one_line() -> None:
    assert command_lines("stillroom models list", 78) == ["stillroom models list"]


def test_typed_paths_are_absolute_whatever_stands_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert typed_path("~/docs") == Path("/home/somebody/docs")
    assert typed_path("-docs") == tmp_path / "-docs"
    assert typed_path("~no-such-user/docs") == tmp_path / "~no-such-user" / "docs"
    assert shell_word(str(typed_path("a b"))) == f"'{tmp_path}/a b'"
