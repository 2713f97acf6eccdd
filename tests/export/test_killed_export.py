"""An export that is killed leaves whole artifacts or none, and nothing that stands in the way of the next one."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from decoder_fixtures import write_merged_run

from appliance.models.manifest import verify_artifact
from export.targets import export_all

TARGETS = ("gguf-q8_0", "onnx-int8")
SCRIPT = """
import json, os, shutil, signal, sys
from pathlib import Path
import onnxruntime, torch, transformers, onnx
from appliance.engines.llama.library import library
from appliance.models.manifest import verify_artifact
from export.targets import export_all

library()
merged_dir, targets, signals = Path(sys.argv[1]), sys.argv[2].split(), list(map(int, sys.argv[3].split()))
moves = {"os.rename", "shutil.rmtree"}

def killed_at(moment, number):
    '''How a child ended that sends itself the signal at a stage, or at a rename, of its export.'''
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    events = []

    def happened(event):
        events.append(event)
        if len(events) > moment:
            os.kill(os.getpid(), number)

    sys.addaudithook(lambda event, arguments: happened(event) if event in moves else None)
    export_all(merged_dir, targets, lambda progress: happened(progress.stage))
    os._exit(0)

ends = []
for moment in range(0, 200, 5):
    status = killed_at(moment, signals[moment % 2])
    exports_dir = merged_dir.parent / "export"
    visible = [path for path in exports_dir.iterdir() if not path.name.startswith(".")] if exports_dir.exists() else []
    for path in visible:
        verify_artifact(path)
    hidden = len(list(exports_dir.iterdir())) - len(visible) if exports_dir.exists() else 0
    ends.append([status, len(visible), hidden])
    if not status:
        break
print(json.dumps(ends))
"""


@pytest.mark.slow
def test_an_export_that_is_killed_at_any_moment_leaves_nothing_half_written(tmp_path: Path) -> None:
    run_dir = write_merged_run(tmp_path)
    signals = [signal.SIGKILL, signal.SIGTERM]
    numbers = " ".join(str(int(number)) for number in signals)
    command = [sys.executable, "-c", SCRIPT, str(run_dir / "merged"), " ".join(TARGETS), numbers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout.splitlines()[-1])
    # Each child gets five steps further than the one before, until one is not killed any more.
    assert [status for status, _, _ in ends[:-1]] == [-signals[moment % 2] for moment in range(len(ends) - 1)]
    assert len(ends) > 5
    assert any(hidden for _, _, hidden in ends)
    assert ends[-1] == [0, len(TARGETS), 0]

    (run_dir / "export" / ".onnx-fp32.part").mkdir()
    exported = export_all(run_dir / "merged", TARGETS[:1])
    assert sorted(path.name for path in (run_dir / "export").iterdir()) == sorted(TARGETS)
    verify_artifact(exported[0].directory)
