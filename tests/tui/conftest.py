"""Fixtures of the screens' tests."""

from pathlib import Path

import pytest

from appliance.models.store import Store
from tests.tui.scenes import HOSTILE_NAMES, KILL, TOO_LONG, Scene

ESCAPES = "number: \x1bcred\ntotal: \x9b31m\x07[b]12[/b]\nlast line\n"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An empty home folder."""
    return Scene(tmp_path)


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A home with models and with jobs that ran; tests only look at it."""
    scene = Scene(tmp_path_factory.mktemp("lived_in"))
    scene.add_model("receipts-q8", "9f2c41d0" * 8, "READY")
    scene.add_model("receipts-q4", "1a2b3c4d" * 8, "NEED 12400 MORE", quantization="Q4_K_M")
    scene.add_model("enquiries-int8", "77aa0011" * 8, "NOT READY", family="encoder", format="onnx", task="enquiries")
    scene.add_model("fresh-with-a-name-that-is-longer-than-its-column-at-eighty", "abcdabcd" * 8)
    scene.add_model("cut", "12341234" * 8)
    scene.break_model("cut")
    Store(scene.settings).activate("receipts-q8")
    good = scene.folder("receipts-march")
    good.write_orders(120)
    assert good.run().returncode == 0
    bad = scene.folder("scans-april")
    bad.write_orders(20)
    for name in HOSTILE_NAMES:
        bad.write(name, TOO_LONG)
    bad.write("0013.txt", KILL)
    bad.write("escapes.txt", ESCAPES)
    assert bad.run().returncode == 3
    assert scene.folder("empty").run().returncode == 0
    _, ledger = scene.write_ledger("orders-cut-0123456789")
    ledger.close()
    scene.break_job("orders-cut-0123456789")
    return scene
