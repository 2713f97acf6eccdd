"""Adapters that spread the shards of one job over the machines of a cluster."""
