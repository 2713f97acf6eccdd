"""The batch interface of a recorded frontier: files, batches, results after some looks, and its failures on demand."""

import email.parser
import email.policy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MISBEHAVIOURS = (
    "lost-lines", "twice", "foreign-ids", "broken-lines", "refuses-some", "expires", "fails", "web-page", "no-file",
)  # fmt: skip
"""What can go wrong: replies are missing, come twice, or are of others; lines are cut; the server refuses some, ends
the batch early, or answers with a page; the result file is gone."""


@dataclass
class BatchInterface:
    """Files and batches, kept in memory."""

    answer: Callable[[dict[str, Any]], dict[str, object]]
    """The completion for the body of a request."""
    looks: int = 1
    """How often a batch is still in progress when somebody looks."""
    misbehaviour: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    """All requests that were sent in batches."""

    def post(self, path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Status and body for a file or a batch."""
        if path.endswith("/files"):
            return self._file(content_type, body)
        values = json.loads(body)
        if values["input_file_id"] not in self.files:
            return 404, b'{"error": {"message": "no such file", "code": "not_found"}}'
        name = f"batch_{len(self.batches) + 1}"
        self.batches[name] = {"id": name, "object": "batch", "input_file_id": values["input_file_id"],
                              "status": "validating", "endpoint": values["endpoint"], "looks": 0,
                              "metadata": values.get("metadata")}  # fmt: skip
        self.lines += [json.loads(line) for line in self.files[values["input_file_id"]].splitlines()]
        return 200, json.dumps(self.batches[name]).encode()

    def _file(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        head = f"content-type: {content_type}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
        if parts["purpose"].get_content().strip() != "batch":
            return 400, b'{"error": {"message": "another purpose"}}'
        name = f"file-{len(self.files) + 1}"
        content = parts["file"].get_payload(decode=True)
        assert isinstance(content, bytes)
        self.files[name] = content
        return 200, json.dumps({"id": name, "object": "file", "bytes": len(content), "purpose": "batch"}).encode()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a batch, of all batches, or of a file."""
        *_, kind, name = path.partition("?")[0].split("/")
        if name == "batches":
            return 200, json.dumps({"object": "list", "data": list(self.batches.values())[::-1]}).encode()
        if kind == "batches":
            return self._batch(name)
        name = kind
        if self.misbehaviour == "web-page":
            return 200, b"<!DOCTYPE html><html><body>Sign in</body></html>"
        if self.misbehaviour == "no-file" or name not in self.files:
            return 404, b'{"error": {"message": "the file is gone", "code": "not_found"}}'
        return 200, self.files[name]

    def _batch(self, name: str) -> tuple[int, bytes]:
        if name not in self.batches:
            return 404, b'{"error": {"message": "no such batch", "code": "not_found"}}'
        batch = self.batches[name]
        batch["looks"] += 1
        if batch["looks"] <= self.looks:
            batch["status"] = "in_progress"
        elif "output_file_id" not in batch:
            batch["status"] = {"expires": "expired", "fails": "failed"}.get(self.misbehaviour, "completed")
            batch["output_file_id"], batch["error_file_id"] = self._results(batch)
        return 200, json.dumps(batch).encode()

    def _results(self, batch: dict[str, Any]) -> tuple[str | None, str | None]:
        """The files of the results and of what was refused."""
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        if self.misbehaviour == "fails":
            return None, None
        kept = lines[: len(lines) // 2] if self.misbehaviour in ("expires", "lost-lines") else lines
        good, bad = [], []
        for number, line in enumerate(kept):
            reply = {"id": f"r{number}", "custom_id": line["custom_id"], "error": None,
                     "response": {"status_code": 200, "body": self.answer(line["body"])}}  # fmt: skip
            if self.misbehaviour == "refuses-some" and number % 2:
                error = {"error": {"message": "too many tokens", "code": "context_length_exceeded"}}
                bad.append({**reply, "response": {"status_code": 400, "body": error}})
            else:
                good.append({**reply, "custom_id": f"x{number}"} if self.misbehaviour == "foreign-ids" else reply)
        good = good + good if self.misbehaviour == "twice" else good
        texts = [json.dumps(line) for line in good[::-1]]
        if self.misbehaviour == "broken-lines":
            texts = [text[: len(text) // 2] if number % 2 else text for number, text in enumerate(texts)]
        output, errors = f"file-out-{batch['id']}", f"file-err-{batch['id']}"
        self.files[output] = "\n".join(texts).encode()
        self.files[errors] = "\n".join(map(json.dumps, bad)).encode()
        return output, errors if bad else None
