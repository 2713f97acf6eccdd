"""What may leave the machine, what a cascade sends on, and what it may cost.

- `egress.open_gate` is the only way to a client that sends. It raises before the client is imported.
- The bytes of a request are made here, not by the client: what the preview prints, what the record hashes and what the
  transport sends is one object. The transport sends to one address, with seven headers, without redirects, without
  anything from the environment.
- All tries are made in `answering/frontier.py`; the client's own are off, because each must be in the record.
- The record is the account of the day: caps survive kills and hold over processes. The alternative, a counter in a file
  of its own, could disagree with it.
- Records are appended under a lock, and synced outside of it, so that requests under way share one sync.
- A task that states no `data_class` has none, rather than a middling one: a default would let it leave.
"""
