"""The bundle's bill of materials as CycloneDX JSON: program, libraries, what is linked into them, models.

Source: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/.
"""

import json
import re
import uuid
from datetime import UTC, datetime

from models import BundledModel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from wheelfiles import Wheel

_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
"""RFC 9562's name space for addresses."""
_SPDX_EXPRESSION = re.compile(r"[A-Za-z0-9.-]+( (AND|OR|WITH) [A-Za-z0-9.-]+)+")
_SPDX_IDS = ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MPL-2.0", "PSF-2.0", "0BSD", "Zlib")
LINKED = (
    ("llama.cpp", "MIT", "inference runtime, inside the llama-cpp-python wheel"),
    ("libstdc++", "GPL-3.0-only WITH GCC-exception-3.1", "C++ standard library, linked into the llama.cpp libraries"),
)
"""Parts without a wheel of their own: name, licence, what it is."""

Json = dict[str, object]


def bill_of_materials(ours: Wheel, wheels: list[Wheel], models: list[BundledModel], epoch: int) -> str:
    """The whole document; the same parts at the same time give the same text."""
    libraries = [_library(wheel) for wheel in wheels]
    linked = [_linked(*part) for part in LINKED] if any(w.name == "llama-cpp-python" for w in wheels) else []
    components = [*libraries, *linked, *(_model(model) for model in models)]
    body: Json = {
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {**_library(ours), "type": "application"},
        },
        "components": components,
        "dependencies": _dependencies(ours, wheels, models, [str(part["bom-ref"]) for part in linked]),
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(body, sort_keys=True))
    whole: Json = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return json.dumps({**whole, **body}, indent=2, ensure_ascii=False) + "\n"


def _purl(wheel: Wheel) -> str:
    return f"pkg:pypi/{wheel.name}@{wheel.version}"


def _licences(licence: str) -> list[Json]:
    if licence in _SPDX_IDS:
        return [{"license": {"id": licence}}]
    if _SPDX_EXPRESSION.fullmatch(licence):
        return [{"expression": licence}]
    return [{"license": {"name": licence}}]


def _library(wheel: Wheel) -> Json:
    return {
        "type": "library",
        "bom-ref": _purl(wheel),
        "name": wheel.name,
        "version": wheel.version,
        "purl": _purl(wheel),
        "licenses": _licences(wheel.licence),
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        "properties": [{"name": "stillroom:file", "value": f"wheels/{wheel.path.name}"}],
    }


def _linked(name: str, licence: str, description: str) -> Json:
    return {
        "type": "library",
        "bom-ref": f"linked:{name}",
        "name": name,
        "description": description,
        "licenses": _licences(licence),
    }


def _model(model: BundledModel) -> Json:
    manifest = model.manifest
    lineage = {f"stillroom:{key}": value for key, value in sorted(manifest.lineage.items())}
    facts = {
        "stillroom:identity": manifest.identity,
        "stillroom:quantization": manifest.quantization,
        "stillroom:verdict": manifest.verdict.verdict if manifest.verdict else "not judged",
        **lineage,
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{manifest.identity}",
        "name": manifest.name,
        "version": manifest.identity[:16],
        "description": f"{manifest.family} for the task {manifest.task_name}, {manifest.format}",
        "licenses": _licences(manifest.licence or "unknown"),
        "hashes": [{"alg": "SHA-256", "content": manifest.identity}],
        "modelCard": {"modelParameters": {"approach": {"type": "supervised"}, "task": manifest.task_name}},
        "properties": [{"name": key, "value": value} for key, value in facts.items() if value],
        "components": [
            {
                "type": "file",
                "bom-ref": f"model:{manifest.identity}:{name}",
                "name": name,
                "hashes": [{"alg": "SHA-256", "content": entry.sha256}],
            }
            for name, entry in sorted(manifest.files.items())
        ],
    }


def _dependencies(ours: Wheel, wheels: list[Wheel], models: list[BundledModel], linked: list[str]) -> list[Json]:
    """Who needs whom, as far as it is in the bundle."""
    refs = {wheel.name: _purl(wheel) for wheel in wheels}
    found = []
    for wheel in [ours, *wheels]:
        names = {canonicalize_name(Requirement(line).name) for line in wheel.requires}
        needed = sorted(refs[name] for name in names if name in refs)
        found.append({"ref": _purl(wheel), "dependsOn": needed + (linked if wheel.name == "llama-cpp-python" else [])})
    found += [{"ref": f"model:{model.manifest.identity}", "dependsOn": []} for model in models]
    return [dict(entry) for entry in found]
