"""The verifier: a bundle that is not exactly what the builder signed is refused before anything of it is used."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_fixtures import Bundle, make_key
from installer_fixtures import Place


@pytest.fixture
def bundle(new_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A copy that a test may change."""
    shutil.copytree(new_bundle.directory, tmp_path / "bundle")
    return Bundle(new_bundle.tar_path, tmp_path / "bundle", new_bundle.key_path)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def flip_a_wheel(directory: Path) -> None:
    flip(next((directory / "wheels").glob("stillroom-*.whl")))


def flip_a_model(directory: Path) -> None:
    flip(directory / "models" / "orders-noop" / "artifact" / "task.toml")


def flip_the_facts(directory: Path) -> None:
    flip(directory / "BUNDLE")


def flip_the_list(directory: Path) -> None:
    path = directory / "SHA256SUMS"
    first = path.read_text()[0]
    path.write_text(("0" if first != "0" else "1") + path.read_text()[1:])


def exchange_a_file_and_its_hash(directory: Path) -> None:
    path = directory / "selftest.py"
    former = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout[:64]
    path.write_text("print('mine')\n")
    now = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout[:64]
    text = (directory / "SHA256SUMS").read_text()
    assert former in text
    (directory / "SHA256SUMS").write_text(text.replace(former, now))


def take_a_file_away(directory: Path) -> None:
    (directory / "lock").joinpath(next((directory / "lock").iterdir()).name).unlink()


def put_a_link_in_the_place_of_a_file(directory: Path) -> None:
    path = directory / "LICENSE"
    path.rename(directory.parent / "elsewhere")
    path.symlink_to(directory.parent / "elsewhere")


def take_the_signature_away(directory: Path) -> None:
    (directory / "SHA256SUMS.sig").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_a_wheel, "files differ from the signed list: wheels/stillroom-0.2.0-py3-none-any.whl: FAILED"),
        (flip_a_model, "files differ from the signed list: models/orders-noop/artifact/task.toml: FAILED"),
        (flip_the_facts, "the file BUNDLE differs from the signed list"),
        (flip_the_list, "the signature is not by the key in"),
        (exchange_a_file_and_its_hash, "the signature is not by the key in"),
        (take_a_file_away, "the bundle lacks its file lock/py3."),
        (put_a_link_in_the_place_of_a_file, "the bundle lacks its file LICENSE"),
        (take_the_signature_away, "this bundle is NOT SIGNED"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_changed_bundle_is_refused(place: Place, bundle: Bundle, change: Callable[[Path], None], message: str) -> None:
    change(bundle.directory)
    done = place.install(bundle)
    assert done.returncode in (1, 4)
    assert message in done.stderr
    assert not place.prefix.exists()
    assert not place.state.exists()


@pytest.mark.slow
def test_one_flipped_bit_is_found_in_a_file_of_every_kind(place: Place, bundle: Bundle) -> None:
    names = [line[66:] for line in (bundle.directory / "SHA256SUMS").read_text().splitlines()]
    kinds = {(name.rpartition("/")[0].partition("/")[0], Path(name).suffix): name for name in names}
    assert len(kinds) > 12
    for name in kinds.values():
        flip(bundle.directory / name)
        done = place.run(bundle.directory / "verify.sh", "--files")
        # Of a script that checks itself nothing more can be asked than that it does not say that all is well.
        if name != "verify.sh":
            assert f"files differ from the signed list: {name}: FAILED" in done.stderr
        assert done.returncode != 0, name
        flip(bundle.directory / name)
    assert place.run(bundle.directory / "verify.sh", "--files").returncode == 0


def test_another_key_is_refused(place: Place, bundle: Bundle, tmp_path: Path) -> None:
    stranger = make_key(tmp_path, "stranger")
    done = place.install(Bundle(bundle.tar_path, bundle.directory, Path(f"{stranger}.pub")))
    assert done.returncode == 1
    assert "the signature is not by the key in" in done.stderr
    assert not place.prefix.exists()


def test_signature_for_another_purpose_is_refused(place: Place, bundle: Bundle, tmp_path: Path) -> None:
    key_path = make_key(tmp_path, "mail")
    (bundle.directory / "SHA256SUMS.sig").unlink()
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key_path), "-n", "email", str(bundle.directory / "SHA256SUMS")]
    subprocess.run(command, check=True, capture_output=True)
    done = place.run(bundle.directory / "verify.sh", "--key", f"{key_path}.pub")
    assert done.returncode == 1
    assert "the signature is not by the key in" in done.stderr


def test_without_a_key_the_line_is_printed_that_checks_by_hand(place: Place, bundle: Bundle) -> None:
    script = bundle.directory / "install.sh"
    done = place.run(script, "--prefix", place.prefix, "--state", place.state)
    assert done.returncode == 2
    line = done.stderr.partition("then give --signature-checked: ")[2].strip()
    signers = place.root / "signers"
    signers.write_text(f'stillroom-bundle namespaces="stillroom-bundle" {bundle.key_path.read_text()}')
    by_hand = place.run("-c", line.replace("KEYFILE", str(signers)))
    assert by_hand.returncode == 0, by_hand.stderr
    assert 'Good "stillroom-bundle" signature' in by_hand.stdout
    assert not place.prefix.exists()


@pytest.mark.parametrize("form", ["plain key", "allowed signers", "key from Windows", "signers from Windows"])
def test_key_is_taken_in_both_forms(place: Place, bundle: Bundle, form: str) -> None:
    line = bundle.key_path.read_text()
    key_path = place.root / "key"
    if "Windows" in form:
        line = " ".join(line.split()[:2]) + "\r\n"
    signers = f'stillroom-bundle namespaces="stillroom-bundle" {line}'
    mark = "\ufeff" if "Windows" in form else ""
    key_path.write_text(mark + (line if "key" in form else signers), newline="", encoding="utf-8")
    done = place.run(bundle.directory / "verify.sh", "--key", key_path)
    assert done.returncode == 0, done.stderr
    assert 'Good "stillroom-bundle" signature' in done.stderr


def test_unsigned_bundle_is_taken_only_when_forced_and_says_so(place: Place, bundle: Bundle) -> None:
    take_the_signature_away(bundle.directory)
    done = place.run(bundle.directory / "verify.sh", "--allow-unsigned")
    assert done.returncode == 0
    assert "WARNING: this bundle is NOT SIGNED" in done.stderr


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "wheels/../../outside", "a b", "wheels//x", "-x"])
def test_list_that_reaches_out_of_the_bundle_is_refused(place: Place, bundle: Bundle, path: str) -> None:
    with (bundle.directory / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {path}\n")
    done = place.run(bundle.directory / "verify.sh", "--signature-checked")
    assert done.returncode == 1
    assert "SHA256SUMS" in done.stderr
    assert "files:" not in done.stderr
