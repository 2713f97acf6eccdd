#!/bin/sh
# Installs Stillroom from its unpacked bundle: no network, no compiler, no root for a user installation.
#
#     sh install.sh --key FILE             verify, stage, test on this machine, switch
#     sh install.sh --key FILE --dry-run   only say what would happen
#     PREFIX/current/install.sh --rollback | --uninstall
#
#   --key FILE            public key of the builder, received another way than the bundle
#   --signature-checked   you ran the printed ssh-keygen line yourself
#   --allow-unsigned      take a bundle without a signature
#   --prefix DIR          where the program goes   [/opt/stillroom as root, else ~/.local/opt/stillroom]
#   --state DIR           where models and jobs go [/var/lib/stillroom as root, else ~/.local/share/stillroom]
#   --python FILE         the Python to use        [python3, else the newest fitting one on PATH]
#   --allow-older         replace a newer version
#   --again               install once more what is installed already
#   --remove-data         with --uninstall: models, jobs and rows too, after a question
#   --yes                 answer that question with yes
set -eu
LC_ALL=C
export LC_ALL
unset CDPATH PYTHONPATH PYTHONHOME PYTHONSTARTUP
umask 022

me=stillroom
here=$(cd "$(dirname "$0")" && pwd -P)
prefix='' state='' python='' key='' checked='' unsigned='' older='' again='' dry='' action=install data='' yes=''
release='' locked='' stage='' number=0

say() { printf '%s\n' "$1" >&2; }
step() { number=$((number + 1)); say "step $number of 7: $1"; }

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit "${3:-1}"
}

# A value of a file of `name=value` lines; it is read, never run.
value() { sed -n "s/^$2=//p" "$1" 2>/dev/null | head -n 1; }

options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --key | --prefix | --state | --python)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value" "sh install.sh --help" 2
            eval "${1#--}=\$2"
            shift ;;
        --signature-checked) checked=yes ;;
        --allow-unsigned) unsigned=yes ;;
        --allow-older) older=yes ;;
        --again) again=yes ;;
        --dry-run) dry=yes ;;
        --rollback | --uninstall) action=${1#--} ;;
        --remove-data) data=yes ;;
        --yes) yes=yes ;;
        -h | --help) sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "no option is called $1" "sh install.sh --help" 2 ;;
        esac
        shift
    done
}

# Absolute, and free of what shells, systemd units and Python's start files would take for something else.
absolute() {
    case $1 in /*) path=$1 ;; *) path=$(pwd)/$1 ;; esac
    while [ "$path" != "${path%/}" ]; do path=${path%/}; done
    case $path in
    '' | *[!A-Za-z0-9_./+@-]* | */../* | */..) fail "the path $1 cannot be used" \
        "use letters, digits and _ . / + @ - only" 2 ;;
    esac
    printf '%s' "$path"
}

places() {
    root=''
    [ "$(id -u)" -ne 0 ] || root=yes
    [ -n "${HOME:-}" ] || [ -n "$root" ] || [ -n "$prefix$state" ] ||
        fail "this user has no home folder" "name two folders of your own with --prefix and --state" 2
    if [ -z "$prefix" ]; then
        # An installed copy of this script belongs to the prefix that it lies in.
        case $here in */releases/*) prefix=${here%/releases/*} ;; esac
        [ -n "$prefix" ] || { [ -n "$root" ] && prefix=/opt/$me; } || prefix=${HOME:?}/.local/opt/$me
    fi
    prefix=$(absolute "$prefix")
    # Without links: by this path is found what runs from a release.
    prefix=$(readlink -m "$prefix")
    prefix=$(absolute "$prefix")
    current=$(readlink "$prefix/current" 2>/dev/null || true)
    current=${current#releases/}
    installed=$prefix/releases/$current/RELEASE
    [ -n "$current" ] || installed=/dev/null
    [ -n "$state" ] || state=$(value "$installed" state)
    [ -n "$state" ] || { [ -n "$root" ] && state=/var/lib/$me; } || state=${XDG_DATA_HOME:-${HOME:?}/.local/share}/$me
    state=$(absolute "$state")
}

locked_by() { fail "another installation works in $prefix (process $1)" "wait for its end" 4; }

# What stands in the way of writing into a folder, or making it: whose it is, or that its disk is read-only.
no_writing() {
    folder=$1
    while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
    owner=$(stat -c %U "$folder" 2>/dev/null) || owner=another
    reason="it belongs to $owner"
    [ "$folder" = "$1" ] || reason="$folder belongs to $owner"
    [ -z "$root" ] || reason="its disk is read-only or full"
    [ -d "$folder" ] || reason="$folder is no folder"
    fail "cannot write in $1: $reason" "you are $(id -un 2>/dev/null || id -u): name a folder of your own with $2" 4
}

# One installer at a time; the lock of one that was killed is taken over.
lock() {
    mkdir -p "$prefix/releases" 2>/dev/null || no_writing "$prefix" --prefix
    if ! ln -s "$$" "$prefix/.lock" 2>/dev/null; then
        [ -w "$prefix" ] || no_writing "$prefix" --prefix
        holder=$(readlink "$prefix/.lock" || true)
        if [ -n "$holder" ] && { kill -0 "$holder" 2>/dev/null || [ -d "/proc/$holder" ]; }; then locked_by "$holder"; fi
        # Whoever moves the link of a dead one has it; what was moved may be of one who was faster.
        mv "$prefix/.lock" "$prefix/.lock.$$" 2>/dev/null || true
        moved=$(readlink "$prefix/.lock.$$" || true)
        rm -f "$prefix/.lock.$$"
        [ -z "$moved" ] || [ "$moved" = "$holder" ] || { ln -s "$moved" "$prefix/.lock" || true; locked_by "$moved"; }
        if ! ln -s "$$" "$prefix/.lock" 2>/dev/null; then
            holder=$(readlink "$prefix/.lock" || true)
            [ -z "$holder" ] || locked_by "$holder"  # it found the place free before this one did
            fail "cannot lock $prefix; the disk may be full" "try again" 4
        fi
    fi
    locked=yes
}

leave() {
    status=$?
    trap - EXIT
    [ -z "$release" ] || rm -rf "$release"
    if [ -n "$locked" ]; then
        rm -rf "$prefix/releases/.stage"
        rm -f "$prefix/.lock"
        rmdir "$prefix/releases" "$prefix" 2>/dev/null || true
    fi
    exit "$status"
}

# --- what the bundle needs and what this machine has ---------------------------------------------------------------
bundle_values() {
    version=$(value "$1/BUNDLE" version)
    order=$(value "$1/BUNDLE" order)
    needed_kb=$(value "$1/BUNDLE" needed_kb)
    pythons=$(value "$1/BUNDLE" pythons)
    id=$version-$(sha256sum "$1/SHA256SUMS" | cut -c 1-8)
    case $version$order in
    '' | *[!A-Za-z0-9.+-]*) fail "the file BUNDLE of the bundle cannot be read" "get the bundle again" ;;
    esac
}

# The server's own python3 where it fits, else the newest that fits.
choose_python() {
    candidates=$python
    if [ -z "$candidates" ]; then
        for minor in $pythons; do candidates="python$minor $candidates"; done
        candidates="python3 $candidates"
    fi
    here_is=''
    for candidate in $candidates; do
        found=$(command -v "$candidate" 2>/dev/null) || continue
        minor=$("$found" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        case " $pythons " in *" $minor "*) ;; *) here_is="; $found is $minor" && continue ;; esac
        if "$found" -I -c 'import venv' 2>/dev/null; then python=$found; return 0; fi
        here_is="; $found has no venv module"
    done
    fail "no Python of version $(printf '%s' "$pythons" | sed 's/ /, /g') is here$here_is" \
        "install one of them, or name it with --python FILE" 4
}

check_machine() {
    machine=$(value "$1/BUNDLE" machine)
    [ "$(uname -s) $(uname -m)" = "Linux $machine" ] ||
        fail "this bundle is for Linux on $machine, here is $(uname -s) on $(uname -m)" "get the bundle for this machine" 4
    for flag in $(value "$1/BUNDLE" cpu_flags); do
        grep -q -w -m 1 "$flag" /proc/cpuinfo ||
            fail "this processor has no $flag, which the model runtime needs" "use a server of 2014 or newer" 4
    done
    choose_python
    wanted=$(value "$1/BUNDLE" glibc)
    has=$("$python" -I -c 'import platform; print(platform.libc_ver()[1])')
    newest=$(printf '%s\n%s\n' "$wanted" "$has" | sort -t . -k 1,1n -k 2,2n | tail -n 1)
    [ "$newest" = "$has" ] ||
        fail "the bundle needs glibc $wanted or newer, here is ${has:-another C library}" "use a newer system" 4
    check_space "$prefix" --prefix
    check_space "$state" --state
}

check_space() {
    folder=$1
    while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
    [ -d "$folder" ] && [ -w "$folder" ] && [ -x "$folder" ] || no_writing "$1" "$2"
    free_kb=$(df -Pk "$folder" | awk 'NR == 2 {print $4}')
    [ "$free_kb" -ge "$needed_kb" ] ||
        fail "$folder has $((free_kb / 1024)) MB free, the installation needs $((needed_kb / 1024)) MB" \
            "free some space, or choose another place with --prefix and --state" 4
}

# Tells a newer installation from an older one; `order` sorts as text, also where versions do not.
check_version() {
    [ -n "$current" ] || return 0
    had=$(value "$installed" order)
    [ "$(printf '%s\n%s\n' "$had" "$order" | sort | tail -n 1)" = "$order" ] || [ -n "$older" ] ||
        fail "version $(value "$installed" version) is installed, this bundle is the older $version" \
            "--allow-older installs it all the same" 2
    case $current in
    "$id" | "$id".*)
        [ -z "$again" ] || return 0
        say "version $version of this very bundle is installed already; --again installs it once more"
        exit 0 ;;
    esac
}

# --- installing ----------------------------------------------------------------------------------------------------
# The copy of the verifier is used as soon as there is one: the medium may go.
verify() {
    set -- "$@" ${key:+--key "$key"} ${checked:+--signature-checked} ${unsigned:+--allow-unsigned}
    sh "${stage:-$here}/verify.sh" "$@"
}

copied() {
    [ -f "$here/$1" ] && [ ! -L "$here/$1" ] ||
        fail "the bundle lacks its file $1" "is the medium still there? copy the bundle again"
    folder=$stage/$1
    folder=${folder%/*}
    [ -d "$folder" ] || mkdir -p "$folder" || fail "cannot create $folder" "check its rights" 4
    cp "$here/$1" "$stage/$1" 2>"$stage/.reason" && return
    reason=$(cat "$stage/.reason" 2>/dev/null) || :
    reason=${reason##*: }
    # On a full disk the reason cannot be written either.
    fail "cannot copy $1 to $stage: ${reason:-no space left}" "check the medium, the rights and the space on the disk" 4
}

# Programs start from there; a disk may be mounted so that none does.
runs_programs() {
    printf '#!/bin/sh\n' >"$stage/.runs" && chmod 755 "$stage/.runs" && "$stage/.runs" 2>/dev/null ||
        fail "no program can be started from $prefix: its disk is mounted noexec" "name another place with --prefix" 4
}

# What is copied: all but the wheels for other Pythons; what is left out is checked by nobody, and used by nobody.
choose_files() {
    copied "lock/py$minor.txt"
    sed -n 's/.*sha256:\([0-9a-f]*\).*/\1/p' "$stage/lock/py$minor.txt" >"$stage/.hashes"
    { grep -v '  wheels/' "$stage/SHA256SUMS"; grep '  wheels/' "$stage/SHA256SUMS" | grep -F -f "$stage/.hashes"; } \
        >"$stage/.list" || fail "the bundle holds no wheels for Python $minor" "get the bundle again"
    cut -c 67- "$stage/.list" >"$stage/.paths"
}

dry_run() {
    verify "$here"
    bundle_values "$here"
    check_version
    check_machine "$here"
    say "would install version $version in $prefix (now: ${current:-nothing}), data in $state, with $python"
    say "models: $(value "$here/BUNDLE" models)"
    say "nothing was written"
}

install_bundle() {
    [ -f "$here/SHA256SUMS" ] || fail "$here is no unpacked bundle" "run install.sh of the bundle's folder" 2
    [ -z "$dry" ] || { dry_run; return 0; }
    # Without a key nothing is made: the line to check by hand is printed, and names the files where they are.
    [ -n "$key$checked" ] || [ ! -f "$here/SHA256SUMS.sig" ] || verify --signature "$here"
    stage=$prefix/releases/.stage
    lock
    sweep
    step "check the signature"
    mkdir "$stage"
    copied verify.sh
    copied SHA256SUMS
    [ ! -f "$here/SHA256SUMS.sig" ] || copied SHA256SUMS.sig
    verify --signature "$stage"
    step "look at this machine"
    copied BUNDLE
    (cd "$stage" && grep '  BUNDLE$' SHA256SUMS | sha256sum -c >/dev/null 2>&1) ||
        fail "the file BUNDLE differs from the signed list" "copy the bundle again; do not use this one"
    bundle_values "$stage"
    check_version
    check_machine "$stage"
    runs_programs
    step "copy the bundle to $prefix"
    choose_files
    while read -r path; do [ -f "$stage/$path" ] || copied "$path"; done <"$stage/.paths"
    # A medium may have any rights: read-only ones on a disc, everybody's on FAT, its owner's alone on another.
    chmod -R u=rwX,go=rX "$stage"
    step "compare every file with the signed list"
    verify --files --list .list "$stage"
    make_release
    switch_over
}

make_release() {
    release=$prefix/releases/$id
    suffix=1
    while [ -e "$release" ]; do suffix=$((suffix + 1)) release=$prefix/releases/$id.$suffix; done
    step "install the program"
    mkdir "$release" "$stage/tmp"
    TMPDIR=$stage/tmp
    export TMPDIR
    "$python" -I -m venv --without-pip "$release/venv" ||
        fail "$python cannot make a virtual environment" "install its venv module" 4
    for pip in "$stage"/wheels/pip-*.whl; do :; done
    "$release/venv/bin/python" -I "$pip/pip" --isolated install --quiet --disable-pip-version-check --no-index \
        --no-deps --no-cache-dir --require-hashes --find-links "$stage/wheels" -r "$stage/lock/py$minor.txt" ||
        fail "the program could not be installed in $release" "is there space on the disk?" 4
    for kept in BUNDLE SHA256SUMS SHA256SUMS.sig install.sh verify.sh selftest.py LICENSE docs lock licences sbom systemd tasks; do
        [ ! -e "$stage/$kept" ] || mv "$stage/$kept" "$release/$kept"
    done
    write_programs
    step "test it on this machine"
    "$release/venv/bin/python" -I -X utf8 "$release/selftest.py" --release "$release" --models "$stage/models" \
        --state "$state" || fail "version $version does not work here, so nothing was changed" "see the lines above"
}

# The programs name their own release, so that a job that runs goes on with it when another is installed.
write_programs() {
    mkdir -p "$release/bin"
    cat >"$release/bin/stillroom" <<END
#!/bin/sh
: "\${STILLROOM_HOME:=$state}"
export STILLROOM_HOME HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 DO_NOT_TRACK=1
exec "$release/venv/bin/python" -I -X utf8 -m appliance.cli "\$@"
END
    # A medium such as FAT keeps no rights.
    chmod 755 "$release/bin/stillroom" "$release/install.sh" "$release/verify.sh" "$release/systemd/units.sh"
}

switch_over() {
    step "switch to version $version"
    rm -rf "$stage"
    owner=$(stat -c %u:%g "$state")
    [ -z "$root" ] || chown -R "$owner" "$state"
    {
        printf 'version=%s\norder=%s\nstate=%s\nprevious=%s\n' "$version" "$order" "$state" "$current"
        printf 'installed=%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    } >"$release/RELEASE.part"
    sync
    mv "$release/RELEASE.part" "$release/RELEASE"
    sync
    link_program
    made=$release
    # From here on the release may be the current one, and is no longer this script's to remove.
    release=''
    point "$made"
    current=${made##*/}
    sweep
    say "version $version is installed: $prefix/bin/stillroom"
}

link_program() {
    mkdir -p "$prefix/bin"
    [ "$(readlink "$prefix/bin/stillroom" || true)" != ../current/bin/stillroom ] || return 0
    ln -sf ../current/bin/stillroom "$prefix/bin/.stillroom"
    mv -f "$prefix/bin/.stillroom" "$prefix/bin/stillroom"
}

# One rename: whoever looks sees the old release or the new one. `mv` would move into the folder behind the link.
point() {
    "$1/venv/bin/python" -I -c '
import os, sys
target, link = sys.argv[1:]
beside = link + ".new"
if os.path.lexists(beside):
    os.unlink(beside)
os.symlink(target, beside)
os.replace(beside, link)
os.fsync(os.open(os.path.dirname(link), os.O_RDONLY))
' "releases/${1##*/}" "$prefix/current" || fail "cannot switch $prefix/current" "the former release stays" 4
}

in_use() { grep -l -a -F "$prefix/releases/$1/venv/bin/python" /proc/[0-9]*/cmdline >/dev/null 2>&1; }

# Removes what no one needs: halves of killed installations, and releases before the previous one.
sweep() {
    former=''
    [ -z "$current" ] || former=$(value "$prefix/releases/$current/RELEASE" previous)
    rm -rf "$prefix/releases/.stage" "$prefix/releases/.gone" "$prefix/current.new" "$prefix/bin/.stillroom" \
        "$prefix"/.lock.[0-9]*
    for folder in "$prefix"/releases/*; do
        name=${folder##*/}
        [ -d "$folder" ] && [ "$name" != "$current" ] || continue
        [ "$name" != "$former" ] || [ ! -f "$folder/RELEASE" ] || continue
        if in_use "$name"; then
            say "release $name is still used by a running job and stays"
            continue
        fi
        mv "$folder" "$prefix/releases/.gone"
        rm -rf "$prefix/releases/.gone"
    done
}

# --- going back and going away -------------------------------------------------------------------------------------
roll_back() {
    [ -n "$current" ] || fail "nothing is installed in $prefix" "name the place with --prefix" 2
    former=$(value "$installed" previous)
    [ -n "$former" ] && [ -f "$prefix/releases/$former/RELEASE" ] ||
        fail "no earlier release than $current is kept" "install the wanted bundle with --allow-older" 2
    if [ -n "$dry" ]; then say "would go back from $current to $former"; return 0; fi
    lock
    "$prefix/releases/$former/bin/stillroom" --version >&2 ||
        fail "the earlier release $former does not start, so nothing was changed" "install a bundle again"
    point "$prefix/releases/$former"
    say "release $former answers again; \`stillroom models roll-back TASK\` goes back to an earlier model"
}

uninstall() {
    [ -d "$prefix/releases" ] || fail "nothing is installed in $prefix" "name the place with --prefix" 2
    if [ -n "$dry" ]; then say "would remove $prefix/current, bin and releases; data in $state stays"; return 0; fi
    lock
    for folder in "$prefix"/releases/*; do
        ! in_use "${folder##*/}" || fail "a job still runs with release ${folder##*/}" "stop it or wait for its end" 4
    done
    gone=''
    if [ -d "$state" ] && { [ -n "$data" ] || [ -t 0 ]; }; then
        [ -n "$data" ] && [ -n "$yes" ] && gone=yes || ask_for_data
    fi
    rm -f "$prefix/current" "$prefix/current.new" "$prefix/bin/stillroom" "$prefix/bin/.stillroom"
    rm -rf "$prefix/releases"
    rmdir "$prefix/bin" 2>/dev/null || true
    if [ -n "$gone" ]; then
        for name in models bases jobs jobs.index.json comparisons egress paid-answers thresholds \
            engine.lock engine.queue config.toml stillroom.log; do
            rm -rf "${state:?}/$name"
        done
        rmdir "$state" 2>/dev/null || say "$state still holds files that Stillroom did not make; they stay"
    else
        say "models, jobs and rows stay in $state"
    fi
    say "the program is removed from $prefix"
}

ask_for_data() {
    printf 'Delete all models, jobs and rows in %s (%s)? Type yes: ' "$state" "$(du -sh "$state" | cut -f 1)" >&2
    read -r answer || answer=''
    [ "$answer" != yes ] || gone=yes
}

options "$@"
places
trap leave EXIT
trap 'say interrupted; exit 130' HUP INT TERM
# On one line: from here on nothing more is read of this file, whose medium may go.
case $action in install) install_bundle ;; rollback) roll_back ;; uninstall) uninstall ;; esac; exit
