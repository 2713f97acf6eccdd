"""What a teacher's answers may still take: the task's budget, less what the record says was spent for its folder."""

import hashlib
import os

from appliance.ground.settings import Settings
from appliance.routing.budget import Account, count_record
from appliance.routing.egress_log import egress_dir
from appliance.routing.egress_reading import read_records
from appliance.routing.policy import Caps
from appliance.tasks.folder import TaskFolder
from appliance.tasks.task import Task


def run_name(folder: TaskFolder, task: Task) -> str:
    """Names all calls for a task folder in the record of what left; its budget is counted by it."""
    place = hashlib.sha256(os.fsencode(folder.path.resolve())).hexdigest()[:10]
    return f"collect-{task.name}-{place}"


def spent(settings: Settings, run: str) -> Account:
    """What all calls took so far; a request that was killed counts with what it reserved."""
    account = Account()
    for record in read_records(egress_dir(settings)) if egress_dir(settings).is_dir() else ():
        if record.get("run") == run and record["kind"] in ("sent", "ended"):
            count_record(account, record)
    return account


def caps_left(task: Task, account: Account, caps: Caps) -> Caps:
    """What this call may take: what is left of the task's budget, within the call's own caps."""
    budget = task.budget

    def least(*some: float | None) -> float | None:
        known = [max(0.0, each) for each in some if each is not None]
        return min(known) if known else None

    documents = least(None if budget.documents is None else budget.documents - len(account.documents), caps.documents)
    tokens = least(None if budget.tokens is None else budget.tokens - account.tokens, caps.tokens)
    money = least(None if budget.money is None else budget.money - (account.money or 0.0), caps.money)
    return Caps(
        None if documents is None else int(documents), None if tokens is None else int(tokens), money, caps.currency
    )
