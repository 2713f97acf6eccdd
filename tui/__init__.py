"""The terminal interface: a viewer and a remote control."""
