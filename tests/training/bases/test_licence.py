"""The licence of a base: from its model card, its configuration, its licence file; otherwise unknown."""

from pathlib import Path

import pytest

from training.bases.licence import licence_of

APACHE = "                                 Apache License\n                           Version 2.0, January 2004\n"


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"README.md": "---\nlicense: apache-2.0\ntags:\n- a\n---\n# Model\n"}, "apache-2.0 (README.md)"),
        ({"README.md": "---\ntags:\n  - license\nlicense:\n- mit\n---\n"}, "mit (README.md)"),
        ({"README.md": '\ufeff---\r\nlicense: "cc-by-4.0"  # ours\r\n---\r\n'}, "cc-by-4.0 (README.md)"),
        ({"README.md": "---\nlicense: other\nlicense_name: qwen-research\n---\n"}, "qwen-research (README.md)"),
        (
            {"README.md": "---\nlicense: other\nlicense_link: LICENSE\n---\n", "LICENSE": APACHE},
            "other, LICENSE (README.md)",
        ),
        ({"README.md": "# Model\nlicense: mit\n", "LICENSE": APACHE}, "apache-2.0 (LICENSE)"),
        ({"config.json": '{"license": "gemma"}', "LICENSE": APACHE}, "gemma (config.json)"),
        ({"LICENSE.txt": "Permission is hereby granted, free of charge, to any person ... without restriction"},
         "mit (LICENSE.txt)"),
        ({"LICENSE": "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT"}, "llama (LICENSE)"),
        ({"LICENSE": "Terms of our own"}, "unknown (see LICENSE)"),
        ({"README.md": "---\nlicense: unknown\n---\n", "config.json": '{"license": 3}'}, "unknown"),
        ({"README.md": "---\nlicense: x\x1b[31m\n---\n"}, "x\x1b[31m (README.md)"),
        ({"config.json": "[["}, "unknown"),
        ({}, "unknown"),
    ],
)  # fmt: skip
def test_licence_is_what_the_files_say(files: dict[str, str], text: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    assert licence_of(tmp_path).text == text
