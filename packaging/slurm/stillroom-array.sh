#!/bin/bash
#SBATCH --job-name=stillroom
#SBATCH --array=1-16
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#
# One task of the array does one shard of a folder of documents:
#
#   sbatch --array=1-16 packaging/slurm/stillroom-array.sh TASK DOCUMENTS OUT [options of `stillroom run`]
#   stillroom jobs join OUT/shard-*-of-16 --out OUT/result
#
# The array must begin at 1 and have no gaps: the number of a task is the number of its shard. More shards than nodes
# are good, as SLURM evens out nodes of different speed; at most 500. Texts of documents are kept nowhere
# (`--keep-text none`).
#
# TASK, DOCUMENTS, OUT and the model must be on storage that all nodes see. The state of a job, a SQLite database, must
# not be there: it goes to a folder on the node's own disk, and a copy of the finished ledger goes to OUT. When a task
# is stopped (time limit, preemption, `scancel`), it finishes the documents in flight and leaves its ledger in OUT; the
# same command again, or SLURM's requeue, goes on from it on any node.
#
# Environment:
#   STILLROOM            the command; default `stillroom`
#   STILLROOM_MODEL      artifact folder of the model; needed unless --model is among the options, as an empty home on
#                        the node knows no active model
#   STILLROOM_LOCAL_DIR  disk of the node for state; default $SLURM_TMPDIR, then $TMPDIR, then /tmp
#
# Exit code: that of `stillroom run`, but 0 also where documents failed (3): their rows say why, and the merge counts
# them.
set -eu

if [ "$#" -lt 3 ]; then
    echo "usage: sbatch --array=1-N $0 TASK DOCUMENTS OUT [options of stillroom run]" >&2
    exit 2
fi
task=$1
documents=$2
out=$3
shift 3

number=${SLURM_ARRAY_TASK_ID:-}
count=${SLURM_ARRAY_TASK_COUNT:-}
if [ -z "$number" ] || [ -z "$count" ]; then
    echo "error: this is no task of an array; hint: sbatch --array=1-16 $0 ..." >&2
    exit 2
fi
if [ "${SLURM_ARRAY_TASK_MIN:-1}" != 1 ] || [ "${SLURM_ARRAY_TASK_MAX:-$count}" != "$count" ]; then
    echo "error: the array is ${SLURM_ARRAY_TASK_MIN:-1}-${SLURM_ARRAY_TASK_MAX:-$count} with $count tasks," \
        "so tasks and shards differ; hint: sbatch --array=1-$count $0 ..." >&2
    exit 2
fi

umask 077
state=$(mktemp -d "${STILLROOM_LOCAL_DIR:-${SLURM_TMPDIR:-${TMPDIR:-/tmp}}}/stillroom-shard-XXXXXXXX")
child=
signalled=0
stop() {
    # The first signal lets the run finish what is in flight and leave its ledger in OUT.
    signalled=1
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null || :
    fi
}
trap 'rm -rf "$state"' EXIT
trap stop TERM INT

export STILLROOM_HOME="$state"
export STILLROOM_THREADS="${STILLROOM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}"
if [ -n "${STILLROOM_MODEL:-}" ]; then
    set -- --model "$STILLROOM_MODEL" "$@"
fi

echo "shard $number/$count on $(uname -n), state in $state" >&2
"${STILLROOM:-stillroom}" run "$task" "$documents" --out "$out" --shard "$number/$count" \
    --keep-text none "$@" &
child=$!

# A signal ends `wait` early: the child still works, so wait again until it has really ended.
while :; do
    signalled=0
    code=0
    wait "$child" || code=$?
    [ "$signalled" = 1 ] || break
done

if [ "$code" = 3 ]; then
    exit 0
fi
exit "$code"
