"""Two or more models on the same documents: who is right more often, how fast, for how much money.

A comparison is the rows of one job per side, joined by the documents' paths and bytes. Its
folder `$STILLROOM_HOME/comparisons/<id>/` holds what is compared (`comparison.json`, `task.toml`, `documents.jsonl`
with the right answers) and `judgements.db`; `differences.db` is derived from the rows. The id follows from the task,
the sides and the documents with their sizes, times and right answers, so the same command continues and a grown
folder is another comparison. `view.py` is what screens use.
- A job of the whole folder that is done and has texts serves a side, and no answer is computed twice; else the side
  gets a job over the list of documents. A job that a comparison needs (`needed-by/` in its folder) is not removed;
  the jobs that were made for a comparison go with the last one that needs them.
- A row about other bytes than the first side's is a failure of its side (`other_bytes`), and a judgement counts only
  for the bytes that were judged.
- The document is the unit. Shares are compared by Tango's score interval with counts divided by the design effect, as
  in the gate; means by a BCa bootstrap over documents; quantiles by order statistics; fields by exact McNemar with
  Holm.
- documents/s has Student's interval over ten stretches of equal time, and none where answers came in a few bursts.
- Sides are answered one after the other, so that their speeds do not disturb each other. Documents that a cap left out
  have no row yet: the same command sends them later.
- Judgements are a file of their own with a rollback journal: many screens write for a moment each, and SQLite before
  3.51.3 can damage a write-ahead log that two connections write. All are kept, the newest of a document counts.
- For a verdict from judgements, agreeing documents are sampled at the judged rate; judging a part of the differing
  ones is fair only in the random order (`--random`).
- The report is one file: a content security policy that allows only its own style, by hash; plots are inline SVG.
"""
