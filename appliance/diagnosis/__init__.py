"""What `stillroom doctor` examines, and what a support bundle holds.

`stillroom doctor` gives ok, warn or fail for each check with what to do, and ends with 4 if one fails. Two checks try
rather than ask: a parser attempts to break out, and llama.cpp is loaded in a process of its own, as a build for
another processor dies on its first instruction. A SQLite with the WAL-reset bug is ok: a ledger has one writer.
`stillroom support-bundle` chooses what goes in (numbers, hashes, states, words of this program) instead of filtering
what must not: of the log it keeps error classes, errno, and frames whose function is in the named file.
"""
