"""List of files with hashes, signature over the list, and one tar whose bytes depend on its content only."""

import re
import subprocess
import tarfile
from pathlib import Path

from wheelhouse import BundleError, file_sha256

from appliance.ground.files import part_of

LIST_NAME = "SHA256SUMS"
SIGNATURE_NAME = f"{LIST_NAME}.sig"
SIGNER = "stillroom-bundle"
"""Namespace of the signatures and name of the signer, as verify.sh asks for them."""
PROGRAMS = ("install.sh", "verify.sh", "systemd/units.sh")
_SAFE_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/-]*")


def write_list(bundle_dir: Path) -> None:
    """Writes SHA256SUMS over every file of the bundle.

    Raises:
        BundleError: A name would be read otherwise by a shell, or there is something that is no plain file.
    """
    lines = []
    for path in sorted(bundle_dir.rglob("*"), key=lambda path: str(path.relative_to(bundle_dir))):
        name = str(path.relative_to(bundle_dir))
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BundleError(f"{name} is no plain file")
        if not _SAFE_PATH.fullmatch(name):
            raise BundleError(f"the file name {name!r} cannot be in a bundle")
        if path.is_file():
            lines.append(f"{file_sha256(path)}  {name}\n")
    (bundle_dir / LIST_NAME).write_text("".join(lines), "ascii")


def sign_list(bundle_dir: Path, key_path: Path) -> None:
    """Signs the list with an OpenSSH key; ssh-keygen asks for its passphrase itself.

    Raises:
        BundleError: ssh-keygen refuses the key.
    """
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key_path), "-n", SIGNER, str(bundle_dir / LIST_NAME)]
    (bundle_dir / SIGNATURE_NAME).unlink(missing_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not (bundle_dir / SIGNATURE_NAME).is_file():
        raise BundleError(f"ssh-keygen cannot sign with {key_path}: {done.stderr.strip()}")


def public_key(key_path: Path) -> str:
    """The line that goes to the operator another way than the bundle."""
    beside = key_path.with_name(f"{key_path.name}.pub")
    path = key_path if key_path.suffix == ".pub" else beside
    if path.is_file():
        return path.read_text("ascii").strip()
    done = subprocess.run(["ssh-keygen", "-y", "-f", str(key_path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(f"ssh-keygen cannot read {key_path}: {done.stderr.strip()}")
    return done.stdout.strip()


def write_tar(bundle_dir: Path, tar_path: Path, epoch: int) -> None:
    """Packs the folder: names in order, no owner, one time, rights by kind; appears whole."""
    paths = sorted(bundle_dir.rglob("*"), key=lambda path: str(path.relative_to(bundle_dir)))
    try:
        with part_of(tar_path) as tar, tarfile.open(fileobj=tar, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for path in [bundle_dir, *paths]:
                entry = tarfile.TarInfo(str(Path(bundle_dir.name) / path.relative_to(bundle_dir)))
                entry.mtime = epoch
                entry.mode = 0o755 if path.is_dir() or str(path.relative_to(bundle_dir)) in PROGRAMS else 0o644
                if path.is_dir():
                    entry.type = tarfile.DIRTYPE
                    archive.addfile(entry)
                else:
                    entry.size = path.stat().st_size
                    with path.open("rb") as file:
                        archive.addfile(entry, file)
    except OSError as error:
        raise BundleError(f"cannot write {tar_path}: {error.strerror}") from error
