#!/bin/sh
# Writes systemd units that run a folder of documents when files come (path) and at times (timer).
#
#     PREFIX/current/systemd/units.sh NAME --task TASK --input DIR --output DIR [options]
#
#   --task FILE       task file or folder
#   --input DIR       folder of documents; read, never written
#   --output DIR      folder for the rows
#   --model NAME      model; by default the active one of the task
#   --schedule TIMES  as systemd's OnCalendar            [hourly]
#   --user NAME       who runs it                        [stillroom]
#   --user-units      units for your own systemd, without root
#   --gpu             the unit may use NVIDIA devices
#   --state DIR       where models and jobs are          [that of the installation]
#   --out DIR         where the units are written        [/etc/systemd/system, or ~/.config/systemd/user]
set -eu
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd -P)
release=${here%/systemd}
prefix=${release%/releases/*}
name='' task='' input='' output='' model='' schedule=hourly user=stillroom own='' gpu='' out='' state=''

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit "${3:-2}"
}

# systemd expands % and splits at blanks; such paths are refused rather than escaped.
absolute() {
    case $2 in
    '') fail "--$1 is missing" "units.sh --help" ;;
    /*) ;;
    *) fail "--$1 is $2, not a path from the root on" "write it in full" ;;
    esac
    case $2 in
    *[!A-Za-z0-9_./+@-]* | */../* | */..) fail "the path $2 cannot be in a unit" "use letters, digits, _ . / + @ -" ;;
    esac
}

while [ $# -gt 0 ]; do
    case $1 in
    --task | --input | --output | --model | --schedule | --user | --state | --out)
        [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value" "units.sh --help"
        eval "${1#--}=\$2"
        shift ;;
    --user-units) own=yes ;;
    --gpu) gpu=yes ;;
    -h | --help) sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) fail "no option is called $1" "units.sh --help" ;;
    *)
        [ -z "$name" ] || fail "two names are given, $name and $1" "put quotes around a value that holds blanks"
        name=$1 ;;
    esac
    shift
done

case $name in '' | *[!A-Za-z0-9_-]*) fail "the name of the units is '$name'" "use letters, digits, _ and -" ;; esac
case $model in -* | *[!A-Za-z0-9_.+/-]*) fail "the model's name $model cannot be in a unit" "units.sh --help" ;; esac
case $user in -* | *[!A-Za-z0-9_.-]*) fail "the user's name $user cannot be in a unit" "units.sh --help" ;; esac
case $schedule in *[!A-Za-z0-9\ :*,./~-]*) fail "the schedule '$schedule' cannot be in a unit" "man systemd.time" ;; esac
# The next time is said, so that a slip such as minutes for hours is seen.
check_schedule() {
    case $schedule in -*) fail "the schedule '$schedule' is none that systemd reads" "man systemd.time" ;; esac
    if ! command -v systemd-analyze >/dev/null; then
        printf 'note: systemd-analyze is not here, so nobody has checked the schedule %s\n' "$schedule" >&2
        return 0
    fi
    answer=$(systemd-analyze calendar "$schedule" 2>&1) || fail "the schedule '$schedule' is none that systemd reads: $(
        printf '%s\n' "$answer" | head -n 1)" "for example hourly, 'Mon..Fri 08:00' or '*:0/15'; man systemd.time"
    next=$(printf '%s\n' "$answer" | sed -n 's/^ *Next elapse: *//p' | head -n 1)
    [ "$next" != never ] || fail "the schedule '$schedule' never comes again" "leave the year out; man systemd.time"
    [ -z "$next" ] || printf 'schedule %s: next on %s\n' "$schedule" "$next" >&2
}

[ -n "$state" ] || state=$(sed -n 's/^state=//p' "$release/RELEASE" 2>/dev/null | head -n 1)
absolute task "$task"
absolute input "$input"
absolute output "$output"
absolute state "$state"
absolute prefix "$prefix"
# Walls stand around places, not around links to them.
input=$(readlink -m "$input") output=$(readlink -m "$output") state=$(readlink -m "$state")
absolute input "$input"
absolute output "$output"
absolute state "$state"
case $output/ in "$input"/*) fail "the output $output lies in the input folder" "rows would be read as documents" ;; esac
case $state/ in "$input"/*) fail "the state $state lies in the input folder" "jobs would be read as documents" ;; esac
[ -e "$task" ] || fail "there is no task at $task" "tasks of the bundle are in $prefix/current/tasks"
[ -d "$input" ] || fail "there is no folder $input" "make it, and let the user $user read it"
for folder in "$output" "$state"; do
    [ -d "$folder" ] || fail "there is no folder $folder" "make it, and let the user $user write there"
done

check_schedule
# Units may be written for another machine, so this is no error here.
[ -n "$own" ] || ! command -v id >/dev/null || id -u "$user" >/dev/null 2>&1 ||
    printf 'note: there is no user %s here; useradd --system %s makes one\n' "$user" "$user" >&2

target=multi-user.target home=yes devices='@SYSTEM@PrivateDevices=yes' bound='/@BINDS@/d' nojit=yes
if [ -n "$own" ]; then target=default.target; fi
# The release's Python may lie elsewhere, in a home for example.
python=$(sed -n 's|^home *= *\(/.*\)/bin$|\1|p' "$release/venv/pyvenv.cfg" 2>/dev/null | head -n 1)
# Homes and temporary files are out of sight, but for what the run needs.
needed="$prefix $input $task" binds=''
for path in "$prefix" "$state" "$input" "$output" "$task" $python; do
    case ${path#/}/ in
    home/* | root/* | run/user/*) home=tmpfs ;;
    tmp/* | var/tmp/*) ;;
    *) continue ;;
    esac
    binds=yes
    if [ "$path" = "$python" ]; then needed="$needed $python"; fi
done
if [ -n "$binds" ]; then
    bound="s|@BINDS@|@SYSTEM@BindPaths=$state $output\\
@SYSTEM@BindReadOnlyPaths=$needed|"
fi
if [ -n "$gpu" ]; then
    # The driver compiles kernels in memory.
    nojit=no
    devices='@SYSTEM@DeviceAllow=char-nvidia rw\
@SYSTEM@DeviceAllow=char-nvidia-uvm rw\
@SYSTEM@DeviceAllow=char-nvidia-caps rw'
fi
if [ -n "$own" ]; then system='/@SYSTEM@/d'; else system='s/@SYSTEM@//'; fi
if [ -z "$out" ]; then
    if [ -n "$own" ]; then out=${XDG_CONFIG_HOME:-${HOME:?}/.config}/systemd/user; else out=/etc/systemd/system; fi
fi
mkdir -p "$out" || fail "cannot write in $out" "run this as root, or with --user-units" 4
unit=stillroom-batch-$name

render() {
    sed -e "$bound" -e "s|@DEVICES@|$devices|" -e "s|@MODEL@|${model:+ --model $model}|" \
        -e "s|@PREFIX@|$prefix|g" -e "s|@STATE@|$state|g" -e "s|@INPUT@|$input|g" -e "s|@OUTPUT@|$output|g" \
        -e "s|@TASK@|$task|g" -e "s|@USER@|$user|g" -e "s|@HOME@|$home|" -e "s|@NOJIT@|$nojit|" \
        -e "s|@SCHEDULE@|$schedule|g" -e "s|@UNIT@|$unit|g" -e "s|@TARGET@|$target|" "$here/batch.$1.in" |
        sed -e "$system" | sed -e '/^$/N;/^\n$/D' >"$out/.$unit.$1" &&
        chmod 644 "$out/.$unit.$1" && mv -f "$out/.$unit.$1" "$out/$unit.$1" ||
        fail "cannot write $out/$unit.$1" "run this as root, or with --user-units" 4
    printf '%s\n' "$out/$unit.$1"
}

render service
render path
render timer
ctl="systemctl${own:+ --user}"
printf 'next: %s daemon-reload && %s enable --now %s.path %s.timer\n' "$ctl" "$ctl" "$unit" "$unit" >&2
