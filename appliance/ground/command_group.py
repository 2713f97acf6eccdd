"""Groups of commands that name the nearest one where a word is mistyped."""

import click


class CommandGroup(click.Group):
    """A group whose commands are listed in their own order."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the order in which they were added."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Names the nearest command where there is none of this name."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            from appliance.ground.spelling import did_you_mean

            raise click.UsageError(f"unknown command {args[0]}{did_you_mean(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)
