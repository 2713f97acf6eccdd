"""The tables of a ledger, and the steps that bring one of an earlier version up to them."""

import sqlite3

from appliance.documents.folder import document_name
from appliance.jobs.states import State

SCHEMA = """
CREATE TABLE job (
    id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, identifier TEXT NOT NULL, name TEXT NOT NULL,
    task TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
    total INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0, started REAL, finished REAL,
    run_started REAL, speed REAL NOT NULL DEFAULT 0,
    supervisor TEXT NOT NULL DEFAULT '', waiting INTEGER NOT NULL DEFAULT 0,
    missing INTEGER NOT NULL DEFAULT 0, left_out TEXT NOT NULL DEFAULT '{}');
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    sha256 TEXT, state TEXT NOT NULL, crash_count INTEGER NOT NULL DEFAULT 0, former_path BLOB);
CREATE INDEX documents_by_state ON documents (state, path);
CREATE INDEX missing_by_size ON documents (size_bytes) WHERE state = 'missing';
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents, superseded INTEGER NOT NULL DEFAULT 0,
    error TEXT, row TEXT NOT NULL, money REAL, worked_seconds REAL, cached INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX one_row ON rows (document) WHERE superseded = 0;
CREATE INDEX rows_by_document ON rows (document);
CREATE TABLE texts (document INTEGER PRIMARY KEY REFERENCES documents, text TEXT NOT NULL,
    raw TEXT NOT NULL DEFAULT '');
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, document INTEGER, detail TEXT NOT NULL);
"""
_STEPS = {
    1: """
ALTER TABLE job ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job DROP COLUMN run_base;
ALTER TABLE texts ADD COLUMN raw TEXT NOT NULL DEFAULT '';
CREATE INDEX rows_by_document ON rows (document);
UPDATE job SET version = 2;
""",
    2: """
ALTER TABLE documents RENAME COLUMN kills TO crash_count;
ALTER TABLE rows ADD COLUMN money REAL;
ALTER TABLE rows ADD COLUMN worked_seconds REAL;
ALTER TABLE rows ADD COLUMN cached INTEGER NOT NULL DEFAULT 0;
UPDATE job SET version = 3;
""",
    3: """
ALTER TABLE job ADD COLUMN missing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN left_out TEXT NOT NULL DEFAULT '{}';
ALTER TABLE documents ADD COLUMN former_path BLOB;
CREATE INDEX missing_by_size ON documents (size_bytes) WHERE state = 'missing';
UPDATE rows SET row = json_set(row, '$.document', (SELECT document_name(path) FROM documents WHERE id = document))
    WHERE document IN (SELECT id FROM documents WHERE instr(path, x'5c78') > 0);
UPDATE job SET version = 4;
""",
}
"""Version -> what makes the next one of it. From version 4 on names with a backslash cannot be those of two files."""
ROWS_WITH_ERROR = (
    "CREATE INDEX IF NOT EXISTS rows_with_error ON rows (document) WHERE superseded = 0 AND error IS NOT NULL"
)
"""Only makes counting fast, so a ledger without it is of the same version."""
COUNTERS = {
    State.DONE: "done", State.FAILED: "failed", State.QUARANTINED: "quarantined", State.PAUSED: "waiting",
    State.MISSING: "missing",
}  # fmt: skip
"""State of a document -> the counter in the job's row; a queued document is in none."""


def bring_up_to_date(connection: sqlite3.Connection, version: int) -> None:
    """Takes the steps from this version to the present one, together or not at all."""
    steps = "".join(script for known, script in sorted(_STEPS.items()) if known >= version)
    if steps:
        connection.create_function("document_name", 1, document_name, deterministic=True)
        connection.executescript(f"BEGIN IMMEDIATE; {steps} COMMIT")
