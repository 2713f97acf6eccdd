"""Words of which the labels of forms are made up, and what kind of value a label suggests."""

LABEL_HEADS = (
    "account", "batch", "branch", "cargo", "case", "cell", "channel", "circuit", "class", "client", "cluster", "code",
    "colour", "contact", "container",
    "course", "crew", "culture", "deck", "dock", "dose", "engine", "event", "facility", "farm", "field", "file",
    "filter", "fleet", "floor", "folder", "fund",
    "garden", "grade", "grant", "group", "harbour", "herd", "index", "island", "item", "judge", "kiln", "lane",
    "layer", "ledger", "lens", "level", "licence",
    "lot", "machine", "mast", "material", "member", "meter", "mill", "mission", "module", "nursery", "orchard",
    "panel", "parcel", "patch", "permit", "phase",
    "pilot", "plan", "plant", "plot", "pool", "press", "probe", "project", "pump", "quarry", "rack", "reactor",
    "record", "region", "relay", "river", "route",
    "runway", "school", "sector", "sensor", "series", "server", "session", "shelf", "shift", "signal", "silo", "slot",
    "source", "species", "stage", "station",
    "stock", "stream", "studio", "subject", "supply", "switch", "tank", "target", "team", "terminal", "trail",
    "trial", "tunnel", "turbine", "unit", "valley",
    "vault", "venue", "vessel", "village", "voyage", "warehouse", "well", "wing", "witness", "yard", "zone",
    "deposit", "reading", "charge", "consumption",
)  # fmt: skip
LABEL_TAILS = (
    "number", "no.", "code", "name", "date", "owner", "total", "value", "rate", "type", "status", "limit", "count",
    "start", "end", "address", "manager",
    "fee", "cost", "level", "time", "size", "weight", "reference", "ID", "officer", "amount", "holder", "balance",
    "reading", "contact", "supplier", "check",
)  # fmt: skip
LABEL_QUALIFIERS = (
    "previous", "current", "next", "last", "first", "old", "new", "initial", "final", "main", "second", "annual",
    "monthly", "daily", "gross", "net", "total",
    "planned", "actual", "minimum", "maximum", "opening", "closing", "internal", "external", "home", "local",
    "original", "return", "upper", "lower", "paid", "open",
)  # fmt: skip
TAIL_KINDS = {
    "date": "date", "start": "date", "end": "date", "check": "date", "owner": "name", "manager": "name",
    "officer": "name", "holder": "name", "contact": "name", "supplier": "company", "address": "address",
    "fee": "amount", "cost": "amount", "amount": "amount", "balance": "amount", "total": "amount", "rate": "percent",
    "number": "code", "no.": "code", "code": "code", "ID": "code", "reference": "code", "count": "integer",
    "level": "integer", "limit": "decimal", "size": "decimal", "weight": "quantity", "time": "time",
    "reading": "integer",
}  # fmt: skip
"""What the last word of a random label suggests about its value; other labels get a value of any kind."""
