"""Two or more models on the same documents: who is right more often, how fast, for how much money.

`appliance/comparison/`: a comparison is `$STILLROOM_HOME/comparisons/<id>/` with `comparison.json`, `task.toml`,
`answers.db` and `judgements.db`. The id follows from the task, the sides and the documents with their sizes, times and
right answers, so the same command continues and a grown folder is another comparison. `view.py` is what screens use.
- The document is the unit. Shares are compared by Tango's score interval with counts divided by the design effect, as
  in the gate; means by a BCa bootstrap over documents; quantiles by order statistics; fields by exact McNemar with
  Holm.
- documents/s has Student's interval over ten stretches of equal time, and none where answers came in a few bursts.
- Sides are answered one after the other, so that their speeds do not disturb each other, through the sandboxed
  readers, the engine child and the gate of egress that a job uses. An answer that was paid for is written at once.
  Documents that a cap kept back have no answer yet: the same command sends them later.
- Judgements are a file of their own with a rollback journal: many screens write for a moment each, and SQLite before
  3.51.3 can damage a write-ahead log that two connections write. All are kept, the newest of a document counts.
- A verdict from judgements takes in, of the documents on which both sides agree, as large a part as was judged of those
  on which they differ; judging a part of them is fair only in the random order (`--random`).
- The report is one file: a content security policy that allows only its own style, by hash; plots are inline SVG.
"""
