"""The terminal interface: a viewer and a remote control.

Every action calls the function of `appliance` that the command calls, in a
thread, or starts a process of its own (jobs, comparisons). Nothing is lost when it ends.
- **Screens.** `frames/frame.py` draws tabs, facts, the command that does the same, and the keys; `TABS` there and
  `SCREENS` in `app.py` take further ones. `frames/action.py` is the one dialog: what will happen, the command, a key
  or a typed word, progress, how it ended; Esc stops what only reads or copies. `frames/form.py`
  and the rows of `screens/task_rows.py` make the forms.
- **Keys that come fast** keep their order: Enter and moving are bindings alike, and a line to type in has the focus
  before the next key is looked at. A key that comes before its screen stands does nothing.
- **Commands on the screen** (`text/shell_commands.py`) are for a shell: paths absolute, hostile names spelled out,
  long ones on lines that can be pasted together. A test gives each of them to the real command line.
- **A thousand jobs**: the first snapshot takes from the job index what has not changed; later ones keep it themselves.
- **A million documents**: tables ask for the rows in sight, pages of 100 come from the ledger in a thread.
- **Document**: `widgets/text_pane.py` wraps once and marks evidence by the offsets of the row. The raw answer is kept
  in the ledger beside the text, and only where texts are kept.
- **Corrections** (`jobs/review.py`) have a database of their own, `review.db`, as the ledger has one writer. Writers
  take a lock and open it for one transaction. A correction belongs to a document's bytes: a changed file has none.
  The row stays what the model said; `jobs corrections --json` writes what `collect --recorded` imports, as a person's
  answers.
- **Before a model is brought in**, `models/checking.py` tells format, name, licence, disk, memory, verdict and
  hashes; `stillroom models check` prints the same. `jobs/model_use.py` keeps one from being removed while an
  unfinished job uses it.
- **Pictures**: `tests/tui/snapshots/` pins key screens as SVG; `python -m tests.tui.capture docs/screens` takes those
  of the documentation from the real program.
"""
