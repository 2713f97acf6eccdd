"""Pages as one HTML file without outside resources, to be read on a screen or on paper.

Documents and model output are hostile: the templates escape every value, control characters are replaced before that,
and a content security policy lets nothing load or run but the file's own style, which it names by its hash.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import ResourceError
from appliance.ground.files import write_file
from appliance.ground.text import printable
from appliance.tasks.linecode import Value, display_value

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent
SHOWN_LETTERS = 300


def templates(folder: Path) -> "Environment":
    """The templates of a folder and the shared ones; they escape every value, and replace its control characters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def safe(value: object) -> object:
        return value if isinstance(value, Markup) else printable(str(value))

    return Environment(
        loader=FileSystemLoader([folder, _FOLDER]), autoescape=True, finalize=safe, trim_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip


def render_page(folder: Path, template: str, title: str, values: Mapping[str, object]) -> str:
    """A page as text."""
    from markupsafe import Markup

    style = (_FOLDER / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return templates(folder).get_template(template).render(title=title, policy=policy, style=Markup(style), **values)


def write_page(path: Path, text: str) -> None:
    """Writes a page.

    Raises:
        ResourceError: The file cannot be written.
    """
    if not path.absolute().parent.is_dir():
        raise ResourceError(f"cannot write {path}: its folder does not exist", "make the folder first")
    write_file(path.absolute(), text.encode())


def shown_value(value: Value) -> dict[str, object]:
    """A value as a cell of a table has it: its text, and whether there is none."""
    if value is None or value in ("", []):
        return cell("no value", missing=True)
    text = display_value(value)
    return cell(text if len(text) <= SHOWN_LETTERS else text[:SHOWN_LETTERS] + " ...")


def cell(text: str, missing: bool = False) -> dict[str, object]:
    """A cell of a table; what is missing is told apart."""
    return {"text": text, "missing": missing}
