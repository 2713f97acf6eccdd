"""What is wrong with an answer in itself, whatever its document says: its form, patterns, and broken rules."""

from dataclasses import dataclass
from functools import lru_cache

from appliance.tasks.linecode import Answer, Record, Value, is_records
from appliance.tasks.patterns import matches_pattern
from appliance.tasks.rules import CompiledRule, compile_rule
from appliance.tasks.task import WITH_DIGITS, Field, FieldType, Task


@dataclass(frozen=True)
class Finding:
    """What is wrong with the form of an answer, for programs and for people."""

    code: str
    """`form`, `required`, `pattern`, or `rule:` with the name of a rule."""
    fields: tuple[str, ...]
    """That are concerned."""
    message: str
    """One sentence; begins with the field or the rule."""

    @property
    def reason(self) -> str:
        """As a row has it: `pattern:order_no`, `rule:lines_add_up`."""
        return self.code if ":" in self.code else f"{self.code}:{self.fields[0]}"


def answer_problems(task: Task, answer: Answer) -> list[str]:
    """What is wrong with the form of an answer: one sentence for each problem, none for a good one."""
    return [finding.message for finding in answer_findings(task, answer)]


def answer_findings(task: Task, answer: Answer) -> list[Finding]:
    """What is wrong with an answer in itself, whatever its document says: its form, patterns, and broken rules."""
    known = {each.name: each for each in task.output_fields}
    findings = [Finding("form", (name,), f"{name} is not a field of the task") for name in answer if name not in known]
    for name, described in known.items():
        for code, problem in _value_problems(described, answer.get(name)):
            findings.append(Finding(code, (name,), f"{name} {problem}"))
    if not any(finding.code == "form" for finding in findings):
        for compiled in _compiled_rules(task):
            if (reason := compiled.broken(answer)) is not None:
                name = compiled.rule.name
                findings.append(Finding(f"rule:{name}", compiled.field_names, f"{name}: {reason}"))
    return findings


@lru_cache(maxsize=8)
def _compiled_rules(task: Task) -> tuple[CompiledRule, ...]:
    return tuple(compile_rule(rule, task.output_fields) for rule in task.rules)


def _value_problems(output_field: Field, value: Value) -> list[tuple[str, str]]:
    """Code and problem of each thing that is wrong."""
    if value is None or value == "" or value == []:
        return [("required", "is required and has no value")] if output_field.required else []
    if output_field.type is FieldType.RECORDS:
        if not is_records(value):
            return [("form", "is not a list of records")]
        return _record_problems(output_field, value)
    if output_field.type is FieldType.LIST:
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            return [("form", "is not a list of strings")]
        others = [text for text in value if output_field.values and text not in output_field.values]
        if others:
            return [("form", f"has {str(others[0])[:40]!r}, which is not one of its values")]
        return [problem for text in value for problem in _pattern_problems(output_field, str(text))][:1]
    if not isinstance(value, str):
        return [("form", "is not a string")]
    if output_field.is_choice and value not in output_field.values:
        return [("form", f"is {value[:40]!r}, which is not one of its values")]
    if output_field.type in WITH_DIGITS and not any(char.isdigit() for char in value):
        return [("form", f"is {value[:40]!r}, which has no digit")]
    return _pattern_problems(output_field, value)


def _record_problems(output_field: Field, records: list[Record]) -> list[tuple[str, str]]:
    """The first problem of each column, with the number of its record."""
    problems: list[tuple[str, str]] = []
    if unknown := [name for record in records for name in record if name not in output_field.column_names]:
        problems.append(("form", f"has the column {unknown[0][:40]!r}, which the task lacks"))
    for column in output_field.columns:
        for number, record in enumerate(records, 1):
            if wrong := _value_problems(column, record.get(column.name)):
                code, problem = wrong[0]
                problems.append((code, f"record {number}: {column.name} {problem}"))
                break
    return problems


def _pattern_problems(output_field: Field, value: str) -> list[tuple[str, str]]:
    if not output_field.pattern or matches_pattern(output_field.pattern, value):
        return []
    return [("pattern", f"is {value[:40]!r}, which its pattern does not match")]
