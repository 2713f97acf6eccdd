"""Who works here, for records that say who did something."""

import os
import pwd


def current_user() -> str:
    """The name of the user that this process belongs to, as the system knows it; the environment is not asked."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
