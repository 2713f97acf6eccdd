"""What a teacher is told to write: a task of its own, so that it is asked, masked, recorded and paid as any other."""

from appliance.tasks.linecode import Value, display_value, is_records
from appliance.tasks.task import Task, TaskKind
from training.synthesis.plans import DocumentPlan

_INSTRUCTION = (
    "Write one new document of the kind that the examples show. It says each of the listed values exactly as it is"
    " written in the list, word for word and once or more, and says nothing that could be taken for another value of"
    " these. Values that are listed as missing do not stand in it. It is no copy of an example, and does not speak of"
    " this list."
)
_OF_LABELS = (
    "Write one new document of the kind that the examples show, of which the listed label is right and no other label."
    " It does not name the label, is no copy of an example, and does not speak of labels."
)


def writing_task(task: Task) -> Task:
    """The task of writing documents for a task; as secret as its documents are."""
    instruction = _OF_LABELS if task.kind is TaskKind.CLASSIFY else _INSTRUCTION
    return Task(
        task.version, f"{task.name}-synthesis", TaskKind.GENERATE, instruction, data_class=task.data_class,
        student=task.student,
    )  # fmt: skip


def brief(task: Task, plan: DocumentPlan) -> str:
    """What stands in the user's message."""
    lines = [f"What the documents are asked: {task.instruction}", ""]
    for number, row in enumerate(plan.seeds, 1):
        lines += [f"Example {number}:", row.text.strip(), ""]
    lines.append("Values of the new document:")
    for field in task.output_fields:
        value = plan.answer.get(field.name)
        name = field.phrase or field.name.replace("_", " ")
        meaning = f" ({field.description})" if field.description else ""
        lines.append(f"- {name}{meaning}: {_listed(value)}")
    if task.kind is TaskKind.CLASSIFY:
        lines += ["", "All labels:", *(f"- {value}" for value in task.output_fields[0].values)]
    lines += ["", f"Manner: {'; '.join(plan.style)}.", f"Number of the document: {plan.number}"]
    return "\n".join(lines)


def _listed(value: Value) -> str:
    if value is None or value in ("", []):
        return "missing"
    if is_records(value):
        return "".join(
            "\n    - " + "; ".join(f"{name}: {cell}" for name, cell in record.items() if cell) for record in value
        )
    return display_value(value)
