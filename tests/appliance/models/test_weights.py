"""Files of weights from strangers: what is no model is refused with its reason, before native code reads it."""

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf_files import tiny_gguf
from onnx_attacks import PLACES, adding

from appliance.ground.errors import ApplianceError
from appliance.ground.settings import Settings, load_settings
from appliance.models.checking import check_import
from appliance.models.gguf_file import GgufError, check_gguf, check_gguf_content
from appliance.models.gguf_header import BLOCKS, Unsound
from appliance.models.gguf_numbers import _SCALES, _are_finite
from appliance.models.onnx_file import OnnxError, check_onnx
from appliance.models.store import Store
from tests.appliance.model_fixtures import make_artifact

SOUND = tiny_gguf(b"sound")
ALIGNED = -(-len(SOUND) // 32) * 32


def problem(content: bytes) -> str:
    """Why the check refuses a file."""
    with pytest.raises(Unsound) as caught:
        check_gguf_content(io.BytesIO(content), len(content))
    return str(caught.value)


def replaced(old: bytes, new: bytes) -> bytes:
    assert SOUND.count(old) == 1
    return SOUND.replace(old, new)


def behind(key: str, new: bytes, skip: int = 4) -> bytes:
    """Other bytes behind a key or a name, after its type."""
    at = SOUND.index(key.encode()) + len(key) + skip
    return SOUND[:at] + new + SOUND[at + len(new) :]


def test_a_sound_file_is_let_through_whatever_its_size() -> None:
    check_gguf_content(io.BytesIO(SOUND), len(SOUND))
    large = tiny_gguf(b"x", 3_000_000)
    check_gguf_content(io.BytesIO(large), len(large))


U32, U64, LARGE = struct.Struct("<I").pack, struct.Struct("<Q").pack, 2**64 - 32


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it begins with b''"),
        (b"GGU", "it begins with b''"),
        (b"GGML" + SOUND[4:], "it begins with b'GGML'"),
        (SOUND[:4] + U32(99) + SOUND[8:], "its version is 99, this program reads 2 and 3"),
        (SOUND[:4] + b"\0\0\0\3" + SOUND[8:], "written for a big-endian machine"),
        (SOUND[:8] + U64(2**63) + SOUND[16:], "the number of tensors is 9,223,372,036,854,775,808"),
        (SOUND[:16] + U64(2**32) + SOUND[24:], "the number of keys is 4,294,967,296"),
        (SOUND[:24] + U64(2**40) + SOUND[32:], "the length of key 0 is"),
        (SOUND[:-25], "blk.0.ffn_down.weight ends at byte"),
        (SOUND[:-40], "the file at"),
        (SOUND + b"\0" * 33, "33 bytes follow the last tensor"),
        (replaced(b"general.name", b"general.nam\x07"), "is no name"),
        (behind("general.name", U32(99), 0), "general.name has the type 99"),
        (replaced(b"llama.block_count", b"llama.context_len"), "block_count is missing"),
        (behind("tokenizer.ggml.tokens", U32(9)), "the entries of tokenizer.ggml.tokens are arrays themselves"),
        (behind("tokenizer.ggml.tokens", U64(2**62), 8), "the number of entries of tokenizer.ggml.tokens is"),
        (behind("tokenizer.ggml.tokens", U64(LARGE), 16), "the file ends in tokenizer.ggml.tokens"),
        (behind("general.architecture", b"mamba", 12), "its architecture is 'mamba'"),
        (behind("llama.embedding_length", U32(0)), "embedding_length is 0, which is not between 1"),
        (behind("llama.embedding_length", U32(6), 0), "embedding_length is no uint32"),
        (behind("llama.block_count", U32(2)), "the tensor blk.1.attn_q.weight is missing"),
        (behind("llama.block_count", U32(513)), "block_count is 513"),
        (behind("llama.feed_forward_length", U32(2)), "has the dimensions [2, 1], the keys make them [2, 2]"),
        (behind("llama.attention.head_count", U32(2)), "heads of 1 dimensions cannot be rotated in pairs"),
        (behind("llama.attention.head_count", U32(3)), "a width of 2 cannot be shared by 3 heads"),
        (behind("layer_norm_rms_epsilon", struct.pack("<f", float("nan"))), "epsilon is nan, not between 0 and 1"),
        (behind("tokenizer.ggml.model", b"none", 12), "its tokenizer is 'none'"),
        (behind("tokenizer.ggml.tokens", b"b", 24), "1 of 2 tokens stand in its vocabulary twice"),
        (replaced(b"blk.0.attn_q", b"blk.0.attn_k"), "the tensor blk.0.attn_k.weight stands in it twice"),
        (behind("output_norm.weight", U32(5), 0), "dimensions of output_norm.weight is 5, at most 4"),
        (behind("output_norm.weight", U64(0)), "output_norm.weight has no weights"),
        (behind("output_norm.weight", U64(2**62)), "a dimension of output_norm.weight is"),
        (behind("token_embd.weight", U64(2**33) * 2), "token_embd.weight ends at byte"),
        (behind("output_norm.weight", U32(9), 12), "has the type 9, in which no weights are stored"),
        (behind("output_norm.weight", U32(8), 12), "has rows of 2 numbers, Q8_0 needs a multiple of 32"),
        (behind("output_norm.weight", U64(0), 16), "output_norm.weight begins at 0 of the weights, where 32"),
        (SOUND[:-352] + struct.pack("<f", float("inf")) + SOUND[-348:], "token_embd.weight (F32) holds what is not a"),
    ],
    ids=range(37),
)  # fmt: skip
def test_what_is_no_model_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    assert reason in problem(content)


@pytest.mark.parametrize(
    "path", [lambda folder: folder / "nothing", lambda folder: folder, lambda folder: folder / "link",
             lambda folder: folder / "pipe"],
    ids=["missing", "folder", "link", "pipe"],
)  # fmt: skip
@pytest.mark.parametrize("check", [check_gguf, check_onnx])
def test_what_is_no_plain_file_is_refused_at_once(
    tmp_path: Path, path: Callable[[Path], Path], check: Callable[[Path], None]
) -> None:
    (tmp_path / "file").write_bytes(SOUND)
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((GgufError, OnnxError), match="cannot be") as caught:
        check(path(tmp_path))
    assert "again" in caught.value.hint


def test_a_model_whose_tokens_see_those_behind_them_is_refused() -> None:
    key = b"llama.attention.causal"
    entry = U64(len(key)) + key + U32(7) + b"\0"
    content = (
        SOUND[:16] + U64(int.from_bytes(SOUND[16:24], "little") + 1) + entry + SOUND[24:-3]
    )  # its padding is shorter
    assert problem(content) == "attention.causal is not true: such models are not run here"


def test_lists_are_bounded_before_they_are_read() -> None:
    at = SOUND.index(b"tokenizer.ggml.tokens") + 21 + 8
    assert "the number of entries of tokenizer.ggml.tokens is 4,000,001" in problem(SOUND[:at] + U64(4_000_001))
    assert "the file ends in tokenizer.ggml.tokens" in problem(SOUND[:at] + U64(3_900_000) + bytes(8 * 50_000))
    merges = SOUND.index(b"tokenizer.ggml.merges") + 21 + 4
    counted = SOUND[:merges] + U32(0) + U64(4_000_000)
    assert "the arrays up to tokenizer.ggml.merges have 4,000,002 entries" in problem(counted)


KINDS = {name: (kind, numbers, size) for kind, (name, numbers, size) in BLOCKS.items()}


def is_finite(kind: str, weights: bytes) -> bool:
    return _are_finite(np.frombuffer(weights, np.uint8), kind, KINDS[kind][2])


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"MXFP4", "IQ1_M"}))
@pytest.mark.parametrize("bits", [0x7C00, 0xFC00, 0x7E01], ids=["infinity", "minus infinity", "nan"])
def test_a_scale_that_is_no_number_is_found_in_each_place_of_each_kind(kind: str, bits: int) -> None:
    _, _, size = KINDS[kind]
    words = {"F32": struct.pack("<I", bits << 13 | 0x7F800000), "BF16": struct.pack("<H", bits | 0x7F80)}
    bad = words.get(kind, struct.pack("<H", bits))
    for offset in _SCALES.get(kind, (0,)):
        for block in (0, 6):
            weights = bytearray(7 * size)
            assert is_finite(kind, bytes(weights))
            weights[block * size + offset : block * size + offset + len(bad)] = bad
            assert not is_finite(kind, bytes(weights))


@pytest.mark.parametrize("kind", ["Q4_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q6_K", "IQ4_NL", "TQ1_0", "MXFP4"])
def test_places_of_scales_and_sizes_of_blocks_are_those_of_an_independent_reader(kind: str) -> None:
    type_ = gguf.GGMLQuantizationType[kind]
    assert gguf.GGML_QUANT_SIZES[type_] == KINDS[kind][1:]
    generator = np.random.default_rng(3)
    for _ in range(60):
        weights = generator.integers(0, 256, 4 * KINDS[kind][2], dtype=np.uint8)
        with np.errstate(all="ignore"):
            values = gguf.dequantize(weights.reshape(1, -1), type_)
        if np.isnan(values).any():
            assert not is_finite(kind, weights.tobytes())


@pytest.fixture
def settings(home_dir: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(home_dir)})


def test_a_model_with_right_hashes_and_hostile_weights_is_neither_good_nor_added(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.appliance.model_fixtures.tiny_gguf", lambda text: behind("llama.block_count", U32(600)))
    artifact_dir = make_artifact(tmp_path / "a")
    checked = check_import(settings, artifact_dir)
    assert not checked.good
    assert "block_count is 600" in next(each.message for each in checked.findings if each.check == "format")
    with pytest.raises(ApplianceError, match="block_count is 600"):
        Store(settings).add(artifact_dir)
    assert Store(settings).list() == ()


def test_a_file_that_is_cut_while_it_is_read_is_refused(tmp_path: Path) -> None:
    class Cut(io.BytesIO):
        def readinto(self, buffer: object) -> int:  # type: ignore[override]
            return 0

    with pytest.raises(Unsound, match="the file ends in token_embd"):
        check_gguf_content(Cut(SOUND), len(SOUND))


@pytest.mark.parametrize("maker", PLACES, ids=lambda maker: maker.__name__)
@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "a/b", "..", "link", "pipe", "folder", "no", "", "a\\b"])
def test_onnx_weights_elsewhere_are_found_by_reading_alone(tmp_path: Path, maker: object, place: str) -> None:
    directory = tmp_path / "artifact"
    (directory / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(8))
    (directory / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(directory / "pipe")
    (directory / "short.data").write_bytes(bytes(8))
    path = directory / "model.onnx"
    path.write_bytes(maker([("location", place)]).SerializeToString())  # type: ignore[operator]
    with pytest.raises(OnnxError, match="its weights lie in"):
        check_onnx(path)
    path.write_bytes(maker([("location", "short.data"), ("length", "8")]).SerializeToString())  # type: ignore[operator]
    check_onnx(path)


def test_onnx_files_that_are_none_end_in_a_sentence() -> None:
    whole = adding([]).SerializeToString()
    draw = np.random.default_rng(5)
    for number in range(120):
        content = bytearray(whole)
        for _ in range(1 + number % 3):
            content[draw.integers(len(content))] = draw.integers(256)
        path = Path(os.environ["STILLROOM_HOME"]) / "model.onnx"
        path.write_bytes(bytes(content[: draw.integers(1, len(content) + 1)] if number % 2 else content))
        try:
            check_onnx(path)
        except OnnxError as error:
            assert str(error.message).startswith(f"model.onnx of {path.parent.name} cannot be loaded: ")  # noqa: PT017
