#!/usr/bin/env bash
# Makes .venv in the checkout with the locked versions; says in one sentence what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
log=$venv/setup.log
needed_gb=8

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit 4
}

step() { printf '%s\n' "set-up: $1" >&2; }

python=$(command -v python3 || true)
[ -n "$python" ] || fail "python3 is missing" "apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old, Stillroom needs 3.11 or newer" "install a newer python3"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "python3 has no venv module" "apt-get install python3-venv"
# llama-cpp-python is compiled here, for this machine's processor.
command -v "${CXX:-c++}" >/dev/null || fail "no C++ compiler is installed" "apt-get install g++"
free_gb=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1048576))
[ "$free_gb" -ge "$needed_gb" ] || [ -d "$venv/lib" ] ||
    fail "the disk has $free_gb GB free, set-up needs $needed_gb GB" "free some space or move the checkout"

[ -x "$venv/bin/python" ] || { step "make $venv"; "$python" -m venv "$venv"; }
: >"$log"

install() {
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off "$@" >>"$log" 2>&1; then
        if grep -qiE 'NewConnectionError|ConnectionError|name resolution|ConnectTimeout|ProxyError' "$log"; then
            fail "no network: the package index cannot be reached" "connect this machine, or set pip's index to a mirror"
        elif grep -qi 'No space left' "$log"; then
            fail "the disk is full" "free some space, then call make again"
        fi
        tail -n 5 "$log" >&2
        fail "a package could not be installed" "the whole log is in $log"
    fi
}

lock=packaging/lock/development.txt
step "build tools (1 of 4)"
install -r packaging/lock/build.txt
step "PyTorch and transformers (2 of 4)"
install -c "$lock" torch transformers peft
step "llama.cpp, compiled for this machine: 6 to 12 minutes on 2 cores the first time (3 of 4)"
CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) install -c "$lock" llama-cpp-python
step "everything else (4 of 4)"
install -c "$lock" --no-build-isolation -e '.[train,encoder,ocr,parquet,cluster,dev]'
sha256sum packaging/setup.sh packaging/lock/*.txt pyproject.toml >"$venv/.ready"
step "done"
