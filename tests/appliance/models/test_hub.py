"""Fetching a base model: the real client against a hub on loopback, which may lie, break off or not be there."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.locks import try_lock
from appliance.ground.progress import Progress
from appliance.models.hub import Checks, newest_commit, pull
from appliance.models.hub import Hub as HubChoice
from appliance.models.hub_staging import broken_off, staging_folder
from appliance.models.manifest import ArtifactError, file_sha256
from tests.appliance.model_fixtures import file_size_limit, flip_byte, names_in
from training.bases.record import verify_base

REPOSITORY = "owner/model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GOOD_FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"weights" * 1000,
    "LICENSE": b"Apache-2.0",
}
BAD_FILES = {
    "pytorch_model.bin": b"\x80\x04.",
    "model.pkl": b"\x80\x04.",
    "modeling_custom.py": b"print()",
    "onnx/model.safetensors": b"x",
    ".gitattributes": b"x",
    "training_args.bin": b"\x80",
}


@dataclass
class Hub:
    """The few addresses of a hub that the client asks for, on loopback."""

    files: dict[str, bytes] = field(default_factory=lambda: {**GOOD_FILES, **BAD_FILES})
    served: dict[str, bytes] = field(default_factory=dict)
    """What is sent instead of the announced content."""
    requests: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    """Files that are listed and not served."""
    tokens: set[str] = field(default_factory=set)
    """Authorization headers that arrived; empty for a request without one."""
    endpoint: str = ""

    def answer(self, path: str, deep: bool = False) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers for a path; a listing holds what lies in folders only where it is `deep`."""
        if path in (f"/api/models/{REPOSITORY}/revision/{COMMIT}", f"/api/models/{REPOSITORY}"):
            return 200, json.dumps({"id": REPOSITORY, "sha": COMMIT}).encode(), {"Content-Type": "application/json"}
        tree, _, folder = path.partition(f"/api/models/{REPOSITORY}/tree/{COMMIT}")
        if not tree:
            listing = self._listing(folder.removeprefix("/"), deep)
            return 200, json.dumps(listing).encode(), {"Content-Type": "application/json"}
        name = path.removeprefix(f"/{REPOSITORY}/resolve/{COMMIT}/")
        if name == path or name not in self.files or name in self.lost:
            return 404, b"", {"X-Error-Code": "RepoNotFound"}
        content = self.served.get(name, self.files[name])
        return 200, content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}

    def _listing(self, folder: str, deep: bool) -> list[dict[str, object]]:
        """The files and folders in a folder; empty for the top."""
        names = [name for name in self.files if deep or name.rpartition("/")[0] == folder]
        within = {name.partition("/")[0] for name in self.files if "/" in name} if not folder else set()
        folders: list[dict[str, object]] = [{"type": "directory", "path": name, "oid": "0"} for name in sorted(within)]
        return folders + [self._entry(name, self.files[name]) for name in names]

    @staticmethod
    def _entry(name: str, content: bytes) -> dict[str, object]:
        git_hash = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        entry: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": git_hash}
        if name.endswith((".safetensors", ".bin")):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
        return entry


@pytest.fixture
def hub() -> Iterator[Hub]:
    partner = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(with_body=True)

        def do_HEAD(self) -> None:
            self.reply(with_body=False)

        def reply(self, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            partner.requests.append(f"{self.command} {path}")
            partner.tokens.add(self.headers.get("authorization", ""))
            status, body, headers = partner.answer(path, deep="recursive=true" in self.path.lower())
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    partner.endpoint = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield partner
    server.shutdown()
    serving.join()
    server.server_close()


def refused(hub: Hub, bases_dir: Path, kind: type[ApplianceError]) -> ApplianceError:
    """The error of a pull, which must leave nothing behind."""
    with pytest.raises(kind) as caught:
        pull(bases_dir, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    assert names_in(bases_dir) == []
    return caught.value


def test_pulled_model_has_the_allowed_files_and_their_hashes(hub: Hub, tmp_path: Path) -> None:
    pulled = pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    assert pulled.directory == tmp_path / "owner--model"
    assert names_in(tmp_path) == [
        "owner--model",
        *(f"owner--model/{name}" for name in sorted([*GOOD_FILES, "hub.json"])),
    ]
    assert (pulled.files, pulled.size_bytes) == (4, sum(map(len, GOOD_FILES.values())))
    origin = json.loads((pulled.directory / "hub.json").read_text())
    assert (origin["repository"], origin["revision"]) == (REPOSITORY, COMMIT)
    for name, content in GOOD_FILES.items():
        assert (pulled.directory / name).read_bytes() == content
        assert origin["files"][name] == {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    verify_base(pulled.directory)


def test_pickles_code_and_folders_are_not_even_asked_for(hub: Hub, tmp_path: Path) -> None:
    pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    fetched = {request.rpartition("/")[2] for request in hub.requests if "/resolve/" in request}
    assert fetched == set(GOOD_FILES)
    assert not [request for request in hub.requests if "/onnx/" in request]


def test_how_an_encoder_makes_its_vector_is_fetched_with_it(hub: Hub, tmp_path: Path) -> None:
    hub.files |= {"1_Pooling/config.json": b'{"pooling_mode_cls_token": true}', "1_Pooling/model.safetensors": b"x"}
    hub.files |= {"1_Pooling/run.py": b"print()", "2_Dense/config.json": b"{}", "1_Pooling/deep/config.json": b"{}"}
    pulled = pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    assert (pulled.directory / "1_Pooling" / "config.json").read_bytes() == hub.files["1_Pooling/config.json"]
    assert pulled.files == len(GOOD_FILES) + 1
    assert names_in(pulled.directory / "1_Pooling") == ["config.json"]
    verify_base(pulled.directory)


def test_stored_token_is_not_sent_to_another_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_stored")
    pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    assert hub.tokens == {""}


def test_stored_token_is_not_sent_to_a_hub_of_the_environment(hub: Hub, tmp_path: Path) -> None:
    # In a process of its own: the client reads HF_ENDPOINT once, when it is imported.
    command = [sys.executable, "-m", "appliance.cli", "models", "pull", REPOSITORY, "--revision", COMMIT]
    ours = {"STILLROOM_HOME": str(tmp_path), "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_stored"}
    done = subprocess.run(command, env={**os.environ, **ours}, capture_output=True, text=True, check=False)
    assert (done.returncode, hub.tokens) == (0, {""}), done.stderr


def test_token_of_a_named_variable_is_sent(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_stored")
    monkeypatch.setenv("OUR_HUB", "secret")
    pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint, "OUR_HUB"))
    assert hub.tokens == {"Bearer secret"}


def test_token_that_is_missing_mistaken_or_unencrypted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OUR_HUB", raising=False)
    with pytest.raises(UsageError, match="OUR_HUB holds no token"):
        pull(tmp_path, REPOSITORY, COMMIT, HubChoice("https://hub.invalid", "OUR_HUB"))
    with pytest.raises(UsageError, match="not the name of a variable") as caught:
        pull(tmp_path, REPOSITORY, COMMIT, HubChoice("https://hub.invalid", "hf-secret"))
    assert "hf-secret" not in caught.value.message + caught.value.hint
    monkeypatch.setenv("OUR_HUB", "secret")
    with pytest.raises(UsageError, match=r"to http://hub\.invalid unencrypted"):
        pull(tmp_path, REPOSITORY, COMMIT, HubChoice("http://hub.invalid", "OUR_HUB"))


def test_pulling_again_replaces_the_folder(hub: Hub, tmp_path: Path) -> None:
    directory = pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint)).directory
    (directory / "stray").write_bytes(b"x")
    pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    assert not (directory / "stray").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_file_that_is_not_the_announced_one_is_refused(hub: Hub, tmp_path: Path, name: str) -> None:
    changed = bytearray(GOOD_FILES[name])
    changed[5] ^= 1
    hub.served[name] = bytes(changed)
    error = refused(hub, tmp_path, ArtifactError)
    assert error.message.startswith(f"{name} arrived with {len(changed)} bytes and hash ")
    assert "do not use this hub" in error.hint


def test_refused_pull_leaves_the_former_model(hub: Hub, tmp_path: Path) -> None:
    directory = pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint)).directory
    hub.served["model.safetensors"] = b"x" * 7000
    with pytest.raises(ArtifactError):
        pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    verify_base(directory)
    assert [path.name for path in tmp_path.iterdir()] == ["owner--model"]


def test_repository_without_safetensors_is_refused(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    error = refused(hub, tmp_path, UsageError)
    assert error.message == f"{REPOSITORY} has no safetensors at {COMMIT[:12]}"
    assert "pickles are not read" in error.hint


def test_repository_that_is_not_there_is_named(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"cannot fetch owner/none: .*404"):
        pull(tmp_path, "owner/none", COMMIT, HubChoice(hub.endpoint))


def test_hub_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ResourceError) as caught:
        pull(tmp_path, REPOSITORY, COMMIT, HubChoice(f"http://127.0.0.1:{port}"))
    assert caught.value.message.startswith(f"cannot fetch {REPOSITORY}: ")
    assert "check name, revision and network" in caught.value.hint


def test_full_disk_is_called_that_and_leaves_nothing(hub: Hub, tmp_path: Path) -> None:
    with file_size_limit(5000):
        error = refused(hub, tmp_path, ResourceError)
    assert "File too large" in error.message
    assert error.hint == "check the free space"


@pytest.mark.parametrize("revision", ["main", COMMIT[:12], COMMIT.upper(), COMMIT + "0", "refs/pr/1"])
def test_revision_must_be_a_full_commit(tmp_path: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="is not a full commit hash"):
        pull(tmp_path, REPOSITORY, revision, HubChoice("http://127.0.0.1:9"))


@pytest.mark.parametrize("name", ["", "../x", "a/b/c", "/etc", "a b", "-x", "a/..", "a\x1b/b"])
def test_name_that_is_no_repository_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid repository name"):
        pull(tmp_path, name, COMMIT, HubChoice("http://127.0.0.1:9"))


def test_damage_after_the_pull_is_found(hub: Hub, tmp_path: Path) -> None:
    directory = pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint)).directory
    expected = file_sha256(directory / "model.safetensors")
    flip_byte(directory / "model.safetensors")
    found = file_sha256(directory / "model.safetensors")
    with pytest.raises(ArtifactError) as caught:
        verify_base(directory)
    assert caught.value.message == f"owner--model: model.safetensors has SHA-256 {found}, expected {expected}"
    (directory / "model.safetensors").unlink()
    with pytest.raises(ArtifactError, match="has SHA-256 none"):
        verify_base(directory)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 1}', '{"files": {"a": 1}}'])
def test_broken_note_of_the_origin_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "hub.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"hub\.json cannot be read"):
        verify_base(tmp_path)


def sharded(hub: Hub) -> None:
    del hub.files["model.safetensors"]
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    hub.files |= {name: name.encode() * 500 for name in names}
    hub.files |= {"consolidated.safetensors": b"all again" * 500}
    places = dict(zip(("a", "b"), names, strict=True))
    hub.files["model.safetensors.index.json"] = json.dumps({"weight_map": places}).encode()


def fetched(hub: Hub) -> set[str]:
    paths = [request.removeprefix("GET ") for request in hub.requests if request.startswith("GET ")]
    return {path.rpartition("/")[2] for path in paths if "/resolve/" in path}


def test_pull_that_was_broken_off_goes_on_with_what_is_missing(hub: Hub, tmp_path: Path) -> None:
    sharded(hub)
    second = "model-00002-of-00002.safetensors"
    hub.lost.add(second)
    with pytest.raises(ResourceError, match="cannot fetch"):
        pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    assert not (tmp_path / "owner--model").exists()
    assert broken_off(tmp_path)[REPOSITORY] > len(hub.files[second])
    hub.lost.clear()
    hub.requests.clear()
    steps: list[Progress] = []
    pulled = pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint), on_progress=steps.append)
    assert fetched(hub) == {second}
    assert steps[-1].done == steps[-1].total == pulled.size_bytes
    assert steps[-1].before > len(hub.files[second])
    assert not (pulled.directory / "consolidated.safetensors").exists()
    verify_base(pulled.directory)
    assert [path.name for path in tmp_path.iterdir()] == ["owner--model"]


def test_what_is_left_of_another_commit_is_not_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    part = staging_folder(tmp_path, REPOSITORY)
    part.mkdir()
    (part / ".commit").write_text("f" * 40)
    (part / "model.safetensors").write_bytes(b"of another commit")
    pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    verify_base(tmp_path / "owner--model")


def test_two_pulls_of_one_repository_do_not_mix(hub: Hub, tmp_path: Path) -> None:
    part = staging_folder(tmp_path, REPOSITORY)
    part.mkdir()
    descriptor = os.open(part, os.O_RDONLY)
    assert try_lock(descriptor)
    with pytest.raises(ResourceError, match="is being fetched by another process"):
        pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint))
    os.close(descriptor)


def test_settings_that_are_refused_cost_no_weights(hub: Hub, tmp_path: Path) -> None:
    def refuse(directory: Path) -> None:
        raise UsageError(f"{(directory / 'config.json').read_text()} is of no use")

    for checks in (Checks(settings=refuse), Checks(whole=refuse)):
        hub.requests.clear()
        with pytest.raises(UsageError, match="is of no use"):
            pull(tmp_path, REPOSITORY, COMMIT, HubChoice(hub.endpoint), checks)
        assert names_in(tmp_path) == []
        assert ("model.safetensors" in fetched(hub)) == (checks.whole is refuse)


def test_index_that_names_a_file_which_is_not_there_is_refused(hub: Hub, tmp_path: Path) -> None:
    sharded(hub)
    del hub.files["model-00002-of-00002.safetensors"]
    error = refused(hub, tmp_path, UsageError)
    assert error.message.startswith("the repository lacks 1 of the 2 files of its weights, such as model-00002")


def test_newest_commit_is_said(hub: Hub) -> None:
    assert newest_commit(REPOSITORY, HubChoice(hub.endpoint)) == COMMIT
