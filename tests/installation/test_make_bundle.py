"""`make bundle`: what its variables may hold, and what is refused before minutes of work are spent."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from bundle_fixtures import PYTHON, bundler, bundler_module, make_key

ROOT_DIR = Path(__file__).parents[2]
CHECK_KEY = ROOT_DIR / "packaging" / "bundle" / "check_key.sh"
STUB = """#!/bin/sh
printf '%s' "{name}: $*|$BUNDLE_KEY|$BUNDLE_MODELS|$BUNDLE_PYTHONS" >>calls
echo >>calls
"""


def check_key(path: Path | str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What the check of a key says; no agent is asked unless one is named."""
    environ = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(["sh", CHECK_KEY, path], env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose programs only write down how they were called."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = tmp_path / "checkout"
    for name in ("packaging/setup.sh", "packaging/bundle/llama_wheel.sh", ".venv/bin/python"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STUB.format(name=path.name))
        path.chmod(0o755)
    shutil.copy(ROOT_DIR / "Makefile", folder)
    shutil.copy(CHECK_KEY, folder / "packaging" / "bundle")
    return folder


def make(checkout: Path, *words: str) -> tuple["subprocess.CompletedProcess[str]", list[str]]:
    """Runs make; gives how it ended and which programs were called."""
    environ = {"PATH": os.environ["PATH"]}
    command = ["make", "bundle", *words]
    done = subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False)
    calls = checkout / "calls"
    return done, calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.parametrize("key", ["no such key", ".", "Makefile", "-f"])
def test_key_is_checked_before_anything_else(checkout: Path, key: str) -> None:
    done, calls = make(checkout, f"KEY={key}")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "hint: " in done.stderr
    assert calls == []


def test_key_and_models_reach_the_bundler_as_they_were_typed(checkout: Path) -> None:
    make_key(checkout, "my key")
    models = """'a b/c=d e' f "g $x" """
    done, calls = make(checkout, "KEY=my key", f"MODELS={models.replace('$', '$$')}", "PYTHONS=3.11 3.13")
    assert done.returncode == 0, done.stderr
    variables = f"|my key|{models.replace('$', '$$')}|3.11 3.13"
    assert calls == [
        f"setup.sh: {variables}",
        f"python: packaging/bundle/build.py --from-make --check{variables}",
        f"llama_wheel.sh: build/bundle/x86-64-v3{variables}",
        f"python: packaging/bundle/build.py --from-make{variables}",
    ]
    assert "FAILED" not in done.stdout + done.stderr


def test_recipe_of_the_llama_wheel_says_failed_of_no_file_that_is_only_missing() -> None:
    script = (ROOT_DIR / "packaging" / "bundle" / "llama_wheel.sh").read_text()
    (line,) = [line for line in script.splitlines() if line.startswith("locked_source()")]
    done = subprocess.run(
        ["sh", "-c", f"locked={'0' * 64}; source=/does/not/exist; {line}\nlocked_source"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("a=b c", ["a=b", "c"]),
        ("'a b=c d' e", ["a b=c d", "e"]),
        ('"a b"="c d" e', ["a b=c d", "e"]),
        ("a\\\\ b=c", ["a b=c"]),
    ],
)
def test_words_of_a_variable_are_those_of_a_shell(text: str, words: list[str]) -> None:
    assert bundler_module("build").typed_words("MODELS", text.replace("\\\\", "\\")) == words


def test_single_model_needs_no_quotes_and_an_open_quote_is_named(tmp_path: Path) -> None:
    build, error = bundler_module("build"), bundler_module("wheelhouse").BundleError
    (tmp_path / "my task").mkdir()
    assert build.typed_words("MODELS", f" {tmp_path}/my task=my samples ") == [f"{tmp_path}/my task=my samples"]
    with pytest.raises(error, match="MODELS cannot be read"):
        build.typed_words("MODELS", "'a b")
    with pytest.raises(error, match="a path with blanks stands in quotes"):
        bundler_module("models").read_model("my")


class TestKey:
    def test_private_keys_of_openssh_sign_with_a_passphrase_and_without(self, tmp_path: Path) -> None:
        assert check_key(make_key(tmp_path, "plain key")).returncode == 0
        locked = tmp_path / "locked"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(locked)]
        subprocess.run(command, check=True, capture_output=True)
        assert check_key(locked).returncode == 0

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "is no OpenSSH key"),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "is no OpenSSH key"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is no OpenSSH key"),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n", "is no OpenSSH key"),
            ("\x00\x01\x02", "is no OpenSSH key"),
            ("ssh-ed25519 AAAA damaged\n", "is damaged"),
            ("ssh-ed25519-cert-v01@openssh.com AAAA\n", "is a certificate"),
        ],
    )
    def test_what_is_no_key_is_refused(self, tmp_path: Path, text: str, reason: str) -> None:
        path = tmp_path / "file"
        path.write_text(text)
        path.chmod(0o600)
        done = check_key(path)
        assert done.returncode == 2
        assert reason in done.stderr

    def test_key_that_others_can_read_and_public_key_without_an_agent(self, tmp_path: Path) -> None:
        path = make_key(tmp_path)
        path.chmod(0o644)
        done = check_key(path)
        assert "others can read the private key" in done.stderr
        assert f"hint: chmod 600 '{path}'" in done.stderr
        done = check_key(f"{path}.pub")
        assert "is a public key, and no agent holds its private half" in done.stderr

    def test_bundler_checks_the_key_without_make_too(self, tmp_path: Path) -> None:
        done = bundler("--out", tmp_path / "dist", "--python", PYTHON, "--key", tmp_path / "missing")
        assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"error: there is no key {tmp_path / 'missing'}")
