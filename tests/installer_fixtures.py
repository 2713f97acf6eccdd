"""The installer in a place of its own: few programs on PATH, no network, and hooks before what it changes."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from bundle_fixtures import Bundle

OLD, NEW = "0.1.0", "0.2.0"
TOOLS = (
    "awk cat chmod chown cp cut date df dirname du env grep head id ln ls mkdir mount mv readlink rm rmdir sed sh"
    " sha256sum sort ssh-keygen stat sync tail touch tr uname wc"
).split()
"""What a small server has: no compiler, no make, no curl."""
CHANGING = ("chmod", "chown", "cp", "ln", "mkdir", "mv", "rm", "rmdir", "sync")
HOOKED = """#!/bin/sh
echo "{name} $*" >>"$HOOK_LOG"
if [ "$({wc} -l <"$HOOK_LOG")" -eq "${{HOOK_AT:-0}}" ]; then eval "$HOOK"; fi
case "{name} $*" in
$HOOK_ON) [ "$({grep} -c "^$HOOK_COUNTED" "$HOOK_LOG")" -ne "$HOOK_NUMBER" ] || eval "$HOOK" ;;
esac
exec {real} "$@"
"""
Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Place:
    """A prefix and a state folder of its own, and the command line of the installer there."""

    root: Path
    shell: tuple[str, ...]
    """Enters a namespace without a network and starts a POSIX shell."""
    tools_dir: Path
    """The only folder on PATH."""
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> Path:
        return self.root / "prefix"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def current(self) -> str:
        """Name of the release that answers; empty where there is none."""
        link = self.prefix / "current"
        return os.readlink(link).removeprefix("releases/") if link.is_symlink() else ""

    @property
    def releases(self) -> list[str]:
        """Everything in the folder of releases, hidden names too."""
        return sorted(path.name for path in (self.prefix / "releases").iterdir())

    def run(self, *command: str | Path, stdin: str = "") -> Finished:
        """Runs a script without a network; it may kill its own process group."""
        return subprocess.run(
            [*self.shell, *map(str, command)], env={"PATH": str(self.tools_dir), **self.variables}, input=stdin,
            cwd=self.root, capture_output=True, text=True, check=False, timeout=600, start_new_session=True,
        )  # fmt: skip

    def options(self, bundle: Bundle) -> list[str]:
        """Where to install, and the key."""
        return ["--prefix", str(self.prefix), "--state", str(self.state), "--key", str(bundle.key_path)]

    def install(self, bundle: Bundle, *arguments: str) -> Finished:
        """Installs a bundle with its own key."""
        return self.run(bundle.directory / "install.sh", *self.options(bundle), *arguments)

    def stillroom(self, *arguments: str) -> Finished:
        """Runs the installed program."""
        return self.run("-c", '"$@"', "sh", self.prefix / "bin" / "stillroom", *arguments)

    def version(self) -> str:
        """What the installed program says that it is."""
        return self.stillroom("--version").stdout.strip().rpartition(" ")[2]

    def hooked(self, hook: str, **when: str) -> "Place":
        """This place with a hook before one of the commands that change files."""
        hooks_dir = self.root / f"hooks-{len(list(self.root.glob('hooks-*')))}"
        shutil.copytree(self.tools_dir, hooks_dir, symlinks=True)
        real = {name: str(Path(str(shutil.which(name))).resolve()) for name in (*CHANGING, "wc", "grep")}
        for name in CHANGING:
            (hooks_dir / name).unlink()
            text = HOOKED.format(name=name, real=real[name], wc=real["wc"], grep=real["grep"])
            (hooks_dir / name).write_text(text)
            (hooks_dir / name).chmod(0o755)
        log_path = self.root / f"{hooks_dir.name}.log"
        log_path.touch()
        variables = {**self.variables, "HOOK": hook, "HOOK_LOG": str(log_path), "HOOK_ON": "-", **when}
        return Place(self.root, self.shell, hooks_dir, variables)


def check_works(place: Place, versions: tuple[str, ...]) -> None:
    """One whole release answers: program, facts and record are of one version, and the model is whole."""
    version = place.version()
    assert version in versions
    release_dir = place.prefix / "releases" / place.current
    assert f"version={version}\n" in (release_dir / "BUNDLE").read_text()
    assert f"version={version}\n" in (release_dir / "RELEASE").read_text()
    site_dir = next(release_dir.glob("venv/lib/python3.*/site-packages"))
    assert [path.name for path in site_dir.glob("stillroom-*.dist-info")] == [f"stillroom-{version}.dist-info"]
    verified = place.stillroom("models", "verify")
    assert verified.returncode == 0, verified.stderr
