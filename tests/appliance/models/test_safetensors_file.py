"""Folders of safetensors as people have them: whole, in parts, cut off, of another kind, with numbers that are none."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from weight_files import ones, write_weights

from appliance.models.safetensors_file import WeightsError, read_headers, tensors_not_finite, weight_paths


def write_parts(directory: Path) -> Path:
    """Two parts with their index."""
    places = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    for name, file_name in places.items():
        write_weights(directory / file_name, {name: ones(2, 3)})
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return directory


def test_headers_tell_shapes_and_places(tmp_path: Path) -> None:
    write_weights(tmp_path / "model.safetensors", {"a": ones(2, 3), "b": ("BF16", np.ones(4, "<u2"))})
    headers = read_headers(weight_paths(tmp_path))
    assert {name: (header.dtype, header.shape, header.size_bytes) for name, header in headers.items()} == {
        "a": ("F32", (2, 3), 24), "b": ("BF16", (4,), 8),
    }  # fmt: skip
    assert headers["b"].start == headers["a"].start + 24


def test_a_stray_file_beside_the_parts_of_an_index_does_not_count(tmp_path: Path) -> None:
    write_weights(write_parts(tmp_path) / "consolidated.safetensors", {"a": ones(1)})
    assert list(read_headers(weight_paths(tmp_path))) == ["a", "b"]


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    (write_parts(tmp_path) / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"lacks 1 of the 2 files of its weights: model-00002-of-00002\.safetensors"):
        weight_paths(tmp_path)


def test_parts_without_their_index_are_all_read(tmp_path: Path) -> None:
    (write_parts(tmp_path) / "model.safetensors.index.json").unlink()
    assert list(read_headers(weight_paths(tmp_path))) == ["a", "b"]


@pytest.mark.parametrize("index", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": "../x.safetensors"}}'])
def test_an_index_that_says_nothing_useful_is_refused(tmp_path: Path, index: str) -> None:
    (write_parts(tmp_path) / "model.safetensors.index.json").write_text(index)
    with pytest.raises(WeightsError, match=r"model\.safetensors\.index\.json"):
        weight_paths(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "model.ckpt"])
def test_pickles_alone_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(WeightsError, match="pickles alone") as caught:
        weight_paths(tmp_path)
    assert name in caught.value.message


OTHER_FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "Git LFS": lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "page of text": lambda whole: b"<!doctype html><title>Not here</title>",
    "pickle": lambda whole: b"PK\x03\x04" + bytes(60),
    "cut off": lambda whole: whole[:-5],
    "is no safetensors file": lambda whole: whole[:5],
    "header": lambda whole: whole.replace(b'"shape"', b'"shope"'),
    "cannot be": lambda whole: whole.replace(b"[2, 3]", b"[2,-3]"),
    "damaged": lambda whole: whole[:8] + b"\xff" * 4 + whole[12:],
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_a_file_of_another_kind_is_named(tmp_path: Path, kind: str) -> None:
    path = write_weights(tmp_path / "model.safetensors", {"a": ones(2, 3)})
    path.write_bytes(OTHER_FILES[kind](path.read_bytes()))
    with pytest.raises(WeightsError, match=kind):
        read_headers([path])


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    paths = [write_weights(tmp_path / name, {"a": ones(1)}) for name in ("x.safetensors", "y.safetensors")]
    with pytest.raises(WeightsError, match=r"the tensor a stands in x\.safetensors and in y\.safetensors"):
        read_headers(paths)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf], ids=str)
@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_numbers_that_are_none_are_counted_in_each_type(tmp_path: Path, dtype: str, number: float) -> None:
    def stored(numbers: list[float]) -> NDArray[np.generic]:
        if dtype == "BF16":
            return np.array(numbers, "<f4").view("<u2")[1::2]
        return np.array(numbers, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype])

    tensors = {"good": (dtype, stored([1.0, -2.0])), "bad": (dtype, stored([1.0, number, 3.0]))}
    path = write_weights(tmp_path / "model.safetensors", {**tensors, "count": ("I64", np.array([-1], "<i8"))})
    assert list(tensors_not_finite(read_headers([path]))) == [("bad", 1)]
