"""The runtime: everything an air-gapped server needs."""
