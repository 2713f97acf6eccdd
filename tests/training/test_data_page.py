"""The page of the data: it keeps the lines of documents, escapes what they say, and can leave their values out."""

from dataclasses import replace
from pathlib import Path

import pytest
from decoder_fixtures import TASK, cli, order_row, write_rows

from appliance.tasks.folder import TaskFolder

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "task.toml").write_text(TASK.format(base="stillroom-base"))
    rows = [order_row(number) for number in range(8)]
    rows[0] = replace(rows[0], answer={**rows[0].answer, "customer": "Zoe Quist"})
    rows[1] = replace(rows[1], text=f"{HOSTILE}\n{rows[1].text}\n\x1b[2Jred")
    rows[2] = replace(rows[2], provenance={"money": "0.25", "currency": "EUR", "prompt_tokens": "7", "served": "m-1"})
    write_rows(TaskFolder(tmp_path).answers_path, rows)
    return tmp_path


def test_it_shows_reasons_rows_and_cost_and_escapes_them(folder: Path) -> None:
    page = folder / "data.html"
    done = cli("curate", folder, "--html", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\n" in text
    assert "\x1b" not in text
    assert text.count("\ufffd") == 1
    assert "customer is not in the text" in text
    assert "0.25 EUR for 1 answer" in text
    assert "m-1" in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_it_can_leave_out_what_documents_say(folder: Path) -> None:
    page = folder / "data.html"
    assert cli("curate", folder, "--html", page, "--no-values").returncode == 0
    text = page.read_text()
    assert "Zoe Quist" not in text
    assert "alert(1)" not in text
    assert "not in the text" not in text
    assert "customer" in text
