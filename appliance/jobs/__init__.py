"""A folder of documents to rows.

A job is `$STILLROOM_HOME/jobs/<id>/`: `job.toml`, `task.toml`, `job.db`, `lock`, and `run.log` where it ran in the
background. The id follows from task, model, folder and variant (shard, fallback), so the same command continues.

- **Kill at any moment.** A row and its document's state are one transaction. The size and time of a changed file are
  noted with the decision about its row, never before it. A job is `done` only after its rows are written out, so a
  kill in between leaves one that resumes. `running` with a dead supervisor shows as `interrupted`.
- **After a failed write** (disk full, failed sync) the ledger is not written again, not even to say so, and is closed
  without a checkpoint: exit code 4, and the next run recovers from the log.
- **Stopping.** Ctrl-C, SIGTERM and the end of the terminal finish what the engine has; the second ends at once. `pause`
  and `cancel` leave a request in the job's folder that the supervisor looks for; it names the holder by a token, so one
  that comes too late stops nobody. Of a job that does not run they take the lock and note the state themselves.
- **Background.** The shell starts the program in a session of its own and ends, so a job is nobody's child. The caller
  waits until the job is held, or gives the error from its log. A system that ends all processes of a user who logs out
  (`KillUserProcesses=yes` of logind) ends those too: use the systemd units there.
- **Files that are being copied.** A file that changed in the last 2 s (`--settle`) is looked at twice; one whose size
  or time differs from the listing, before or after it was read, becomes `paused` and waits for the next run. The job
  is done, says how many wait, and exits with 3, so that no script takes the folder for finished. A name that was only
  there while the copy ran (`.filepart`) is forgotten. A copy that stands still for longer is read half, and
  superseded by the next run.
- **Documents that leave the folder.** The walk is compared with the ledger, in path order. What the ledger knows and
  the folder does not hold becomes `missing`; only ENOENT, ENOTDIR and a link in the way say so, anything else leaves it
  as it is. Its row stays: an answer counts as before once the file is back, anything else is tried again. One without a
  row gets one (`missing`), and the run that notices exits with 3; later ones do not, nor does `retry` try it. A
  document that never had a row and has the bytes of a missing one (size and time where nobody read those) is the same
  file renamed: the answer and the corrections go with it. Between shards a renamed file is a new one, as its path
  decides where it belongs.
- **Folders that cannot be listed** are documents whose path ends in a slash; their row goes when they can be listed.
  Answers about documents below them stay, as nobody knows better.
- **One output folder, one job.** `.stillroom-rows` names the job whose rows are there; another one is refused before it
  works. The note holds as long as rows are there or that job runs. Folders of an earlier version have none: then the
  jobs of this installation say who wrote there.
- **Read-only disks.** A writer folds its log into `job.db` when it ends, even where somebody reads; then SQLite can
  open it as `immutable`, which is done only where the folder cannot be written. Elsewhere a reader never assumes that
  nobody writes.
- **The list** opens only ledgers whose files differ from the index (inode, size, time, log) or changed in the last 2
  s. The index is a cache that each list mends: no kill can make it wrong. It is JSON rather than SQLite because any
  process may write it, and SQLite before 3.51.3 can damage what two of them write.
- **Columns.** CSV and Parquet have a column for each field and its confidence, and `escalated`: the fields that the
  fallback answered. A field that is called like a column of the row (`document`, `model`) gets `field ` before its
  name. `former_document` is the name that a renamed file had.
- **The engine's queue** holds 16 documents, or as many documents and characters as were answered in the latest second,
  at most 256 and 4 million: a fast engine never waits for documents, and a stop waits a second for them.
- **`--limit`** holds for documents that an earlier run has listed, too; the job says how many it left out.
- **CSV.** A cell that begins with `=`, `+`, `-`, `@`, tab, newline or their wide forms gets `'` before it, unless it
  is a number with a sign, with or without a currency or percent sign (`-5.00`, `-5.00 EUR`): no spreadsheet computes
  those, and a column of amounts stays one. Parquet keeps values as text, too, and lists as lists.
- **A broken engine** is not the documents' fault: three deaths before it takes one, or 25 in a run that never got an
  answer, end the run. One that says nothing for 15 minutes is killed, and what it had in work is as suspect as after a
  crash.

Shards
------
`stillroom run --shard K/N` is a job of its own over the documents whose path, hashed, falls to K
(SHA-256 of the path in the folder, first 8 bytes, modulo N, plus 1), so a growing folder never moves a document.
`--limit` counts the folder's documents, not the shard's. A shard's output folder is `OUT/shard-K-of-N` and gets,
besides the rows, `job.toml`, `task.toml` and a copy of the ledger without documents' texts; it is compacted beside
the ledger and copied as one file, so SQLite never opens a database on a network disk. Another machine that is given
the shard takes that copy over if more rows were ever written into it than into its own. `stillroom jobs join JOB...
--out DIR` (ids, or those folders) walks all ledgers and the folder side by side in path order. It refuses, with a
list, unless all N shards are there, finished, sound and of the same task, model and settings, and each document of
the folder is in exactly one of them, its own, with the bytes that were read; documents that their shards know to be
missing are joined with the rows that they have. Only then rows are written, equal to
those of one job over the whole folder, and `merge.json` with their hashes. `packaging/slurm/stillroom-array.sh` runs
the shards as a SLURM array. `stillroom cluster run --shards N` runs them on Ray (`appliance/cluster/`): one actor a
node starts `stillroom run --shard` in a process of its own, with its state on the node's disk, and Ray only places
the work. Without `--address` it starts Ray on the loopback address for this run.
"""
