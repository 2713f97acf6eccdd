"""One way to an answer: requests in, results out, from a local model, a frontier, or one after the other.

Fallback
--------
`routing/cascade.py` decides and merges, `answering/cascade.py` answers by it, `quality/threshold_curve.py` and
`answering/threshold_choice.py` choose a threshold.
- A field goes out where its confidence is below the threshold, where it has none, or where its value does not fit the
  task; a document that has no local answer goes out whole, but for one that killed an engine.
- What decides is the confidence; the margin between the two likeliest labels gained less on BANKING77.
- The rule of `auto` is fixed: the most right, averaged over thresholds that send nearly as many away (5 % of
  documents on either side), within the budget; of equal ones the one that sends least.
- Frontier, threshold and policy are part of the job's id. A changed policy is another job, and a resumed one is
  refused.
- Answers that were paid for are kept in `$STILLROOM_HOME/paid-answers/` by the hash of address and request, as the
  frontier wrote them, so no run pays for them twice. A kill makes at most the documents that were outside at that
  moment (64) to be asked again. They go with the job that paid for them, and at its end where it keeps no text.
- Where the fallback does not answer, the local answer stays, and the row's route is `review` with the reason. The end
  of the run says how many there are; `stillroom jobs retry` asks again for those, with `--cap-documents`,
  `--cap-tokens` and `--cap-money` to raise what the job was given. Their previous rows are superseded. Caps are no part
  of the job's id.
"""
