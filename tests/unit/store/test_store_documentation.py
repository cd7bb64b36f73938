"""What the store's page says of the settings is what the settings are, and the page of the commands tells each of them."""

from __future__ import annotations

from pathlib import Path

from typer.main import get_command

from result_store.cli import app
from result_store.settings import StoreSettings, variable

DOCS = Path(__file__).parents[3] / "docs" / "result-store"


def test_every_setting_is_on_the_page_with_its_default_and_meaning_and_no_other() -> None:
    lines = [line.split("|") for line in (DOCS / "index.md").read_text(encoding="utf-8").splitlines()]
    rows = {cells[1].strip(" `"): "|".join(cells[2:]) for cells in lines if len(cells) > 3 and "`RESULT" in cells[1]}
    assert set(rows) == {variable(name) for name in StoreSettings.model_fields}
    for name, field in StoreSettings.model_fields.items():
        row = rows[variable(name)]
        assert (field.description or "?") in row
        if isinstance(field.default, str | int | float) and field.default != "":
            assert f"`{field.default}`" in row


def test_every_command_and_option_is_on_the_page_of_the_commands() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    commands = getattr(get_command(app), "commands", {})
    assert commands
    for name, command in commands.items():
        assert f"## result-store {name}" in page
        for own in (command, *getattr(command, "commands", {}).values()):
            for parameter in own.params:
                long = [option for option in parameter.opts if option.startswith("--") and option != "--help"]
                assert all(f"`{option}" in page for option in long), (name, own.name, long)
