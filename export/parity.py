"""What every export must be: the merged model in another form."""

from appliance.ground.errors import ApplianceError


class ExportDisagrees(ApplianceError):
    """The exported model does not answer as the merged one."""
