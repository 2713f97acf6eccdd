"""One model: where it comes from, what it holds, what was measured on it."""

from collections.abc import Sequence

from appliance.models.manifest import MANIFEST_NAME, read_manifest
from appliance.models.store import Store
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.frames.text_page import TextPage
from tui.rendering.model_lines import broken_lines, checked_row, model_lines
from tui.text.cells import BAD, Cell, Line


class ModelScreen(TextPage):
    """A model's manifest."""

    TAB = "Models"
    HELP_LINES = (
        "One model: the verdict with what it rests on, lineage, files with size and SHA-256, measurements.",
        "`stillroom models verify` reads every file again and compares it with the hash that is shown here.",
    )

    def __init__(self, model_name: str) -> None:
        super().__init__()
        self._model_name = model_name

    def read(self) -> Sequence[Line]:
        """Reads the manifest."""
        settings = self.stillroom.settings
        directory = settings.models_dir / self._model_name
        for model in Store(settings).list():
            if model.name == self._model_name:
                try:
                    checked_row(model)
                    return model_lines(model)
                except (TypeError, ValueError, AttributeError) as error:
                    return broken_lines(
                        directory, Problem(f"{directory / MANIFEST_NAME} is not a valid manifest: {error}")
                    )
        if not directory.is_dir():
            return [[Cell("This model was removed: Esc goes back.", BAD)]]
        try:
            read_manifest(directory)
        except READING_ERRORS as error:
            return broken_lines(directory, problem_of(error))
        return [[Cell("This model has just changed: Esc goes back, Enter opens it again.")]]
