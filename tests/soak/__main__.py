"""`make soak`: many kills over long jobs, folders that change under jobs, and a fault wherever a disk can fail."""

import argparse
import errno
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.soak.folder_faults import FolderCampaign, run_folder_campaign
from tests.soak.injecting import DOCUMENTS, inject, trace_sites
from tests.soak.killing import Campaign, Tally, run_campaign
from tests.soak.shim import Fault, build_shim, compiler
from tests.soak.soundness import undisturbed

FAULTS = {"ENOSPC": (errno.ENOSPC, True), "EIO": (errno.EIO, False)}


def main() -> int:
    """Runs everything; any finding ends it with the assertion that failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--documents", type=int, default=500, help="of each job")
    parser.add_argument("--kills-per-job", type=int, default=12)
    parser.add_argument("--window", type=float, default=0.7, help="longest time between kills, in durations of a run")
    parser.add_argument("--folders", type=int, default=20, help="jobs whose folder changes while they work")
    parser.add_argument("--every", type=int, default=1, help="inject faults at every so-manyth call only")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed: {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="stillroom-soak-") as root:
        if options.kills:
            campaign = Campaign(options.documents, options.kills, options.kills_per_job, options.window, seed)
            expected = undisturbed(Path(root) / "undisturbed", options.documents)
            _tell_kills(campaign, run_campaign(campaign, Path(root), expected))
        if options.folders:
            changing = FolderCampaign(250, options.folders, 40, seed)
            undisturbed_folder = undisturbed(Path(root) / "undisturbed-folder", changing.documents)
            changes = run_folder_campaign(changing, Path(root), undisturbed_folder)
            kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(changes.items()))
            print(f"folders: {sum(changes.values())} changes ({kinds}) under {options.folders} jobs", flush=True)
        if options.every and compiler() is None:
            print("faults: skipped, there is no C compiler")
        elif options.every:
            _faults(Path(root) / "faults", options.every)
    print(
        "sound: every document one row or one named failure, ledgers intact, rows as undisturbed, nothing left behind"
    )
    return 0


def _tell_kills(campaign: Campaign, tally: Tally) -> None:
    kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(tally.kills.items()))
    print(
        f"kills: {sum(tally.kills.values())} ({kinds}); {tally.jobs} jobs, {tally.documents} documents,"
        f" {tally.quarantined} hit twice and mended by a retry; {tally.seconds:.0f} s; seed {campaign.seed}",
        flush=True,
    )


def _faults(root: Path, every: int) -> None:
    root.mkdir()
    started = time.monotonic()
    library = build_shim(root)
    expected = undisturbed(root / "undisturbed", DOCUMENTS)
    sites = trace_sites(library, root / "trace")
    calls: Counter[str] = Counter()
    for name, (error, lasting) in FAULTS.items():
        for number in range(1, len(sites) + 2 * every, every):
            hit = inject(library, root / f"{name}-{number}", Fault(number, error, lasting), expected)
            if hit is not None:
                calls[f"{name} {hit.call}"] += 1
    kinds = ", ".join(f"{count} {call}" for call, count in sorted(calls.items()))
    print(f"faults: {sum(calls.values())} injected ({kinds}); {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
